// Prepares a deployment, in steps that are harmless to repeat:
//   keys          makes keys and passwords that are missing, and hands each container its own
//   databases     makes databases and roles, and runs all migrations
//   replay <service> [--check]  rebuilds a service's read models
//   platform-key  prints the operator's key
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { databaseUrls, provisionDatabase } from '@reef/eventing/provision';
import { ensureKeys } from '../apps/cli/dist/stack/keys.js';
import { layout as layoutOf, makeHome } from '../apps/cli/dist/stack/layout.js';
import { ownerEnvironment, serviceEnvironment, statefulServices } from '../apps/cli/dist/stack/services.js';

const secrets = '/secrets';
const opsPort = 9464;
const edgePort = 8080;
const migrationLimitMs = 300_000;

/** Each service is given the keys it needs and no others: only the edge and dispatch may vouch for a tenant. */
const stateful = ['publicKeys', 'masterKey'];
const given = {
  edge: ['edgeSigningKey', 'publicKeys'],
  identity: [...stateful, 'apiKeyPepper'],
  budgets: stateful,
  dispatch: [...stateful, 'dispatchSigningKey'],
  workspace: stateful,
  memory: stateful,
  telemetry: stateful,
};

const layout = layoutOf({ REEF_HOME: join(secrets, 'setup') });
makeHome(layout);
const { files, passwords } = ensureKeys(layout);
const postgresUrl = process.env.POSTGRES_URL ?? 'postgres://postgres@postgres:5432/postgres';
const natsUrl = process.env.NATS_URL ?? `nats://reef:${passwords.nats}@nats:4222`;
const steps = { keys, databases, replay, 'platform-key': () => process.stdout.write(`${passwords.platformKey}\n`) };

const step = steps[process.argv[2] ?? ''];
if (!step) throw new Error(`setup knows ${Object.keys(steps).join(', ')}`);
await step();

function keys() {
  // These two run under users of their own images, and their volumes are mounted nowhere else.
  writeFor('postgres', 'password', passwords.postgres, 0o644);
  writeFor('nats', 'authorization.conf', `authorization { user: reef, password: "${passwords.nats}" }\n`, 0o644);
  for (const [name, names] of Object.entries(given)) {
    for (const file of names) {
      copyFileSync(files[file], handed(name, files[file]));
      chmodSync(handed(name, files[file]), 0o600);
    }
  }
  process.stdout.write('keys and passwords are in place\n');
}

async function databases() {
  const provisioned = {};
  for (const name of statefulServices) {
    provisioned[name] = await provisionDatabase(adminUrl(), provision(name));
  }
  for (const name of Object.keys(given)) {
    const wiring = {
      natsUrl,
      databases: provisioned,
      files: handedFiles(name),
      passwords,
      simulatorUrl: undefined,
    };
    const port = name === 'edge' ? edgePort : opsPort;
    const inContainer = {
      HOST: '0.0.0.0',
      OPS_HOST: '0.0.0.0',
      ...(name === 'workspace' && { WORKSPACE_ROOT: '/workspace' }),
    };
    if (name !== 'edge') migrate(name, ownerEnvironment(name, {}, layout, { ...wiring, files }));
    writeFor(name, 'env', envFile({ ...serviceEnvironment(name, {}, layout, wiring, port), ...inContainer }), 0o600);
  }
  process.stdout.write('databases are up to date\n');
}

function replay() {
  const [, , , name, ...options] = process.argv;
  if (!statefulServices.includes(name)) throw new Error(`replay needs one of ${statefulServices.join(', ')}`);
  const databases = { [name]: databaseUrls(adminUrl(), provision(name)) };
  const wiring = { natsUrl, databases, files, passwords, simulatorUrl: undefined };
  const { status } = spawnSync(process.execPath, [`apps/${name}/dist/main.js`, 'replay', ...options], {
    env: ownerEnvironment(name, {}, layout, wiring),
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}

function migrate(name, env) {
  const { status } = spawnSync(process.execPath, [`apps/${name}/dist/main.js`, 'migrate'], {
    env,
    stdio: 'inherit',
    timeout: migrationLimitMs,
  });
  if (status !== 0) throw new Error(`the migration of ${name} failed`);
}

function handedFiles(name) {
  return Object.fromEntries(Object.entries(files).map(([file, path]) => [file, handed(name, path)]));
}

function provision(name) {
  return { database: `reef_${name}`, rolePassword: passwords.roles[name] };
}

function adminUrl() {
  const url = new URL(postgresUrl);
  url.password ||= passwords.postgres;
  return url.href;
}

function handed(name, path) {
  return join(secrets, name, basename(path));
}

function writeFor(name, file, text, mode) {
  writeFileSync(join(secrets, name, file), text);
  chmodSync(join(secrets, name, file), mode);
}

/** Node's own --env-file syntax; no value holds a quote or a line break. */
function envFile(env) {
  return Object.entries(env)
    .filter(([name, value]) => value !== undefined && name !== 'NODE_COMPILE_CACHE')
    .map(([name, value]) => `${name}='${value}'\n`)
    .join('');
}
