import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ProvisionedDatabase } from '@reef/eventing/provision';
import type { KeyFiles, Passwords } from './keys.js';
import { providersFile, repositoryRoot } from './layout.js';
import type { Layout } from './layout.js';
import { keyVariablesOf } from './providers-file.js';

/** Each has a database of its own. */
export const statefulServices = ['identity', 'budgets', 'dispatch', 'workspace', 'memory', 'telemetry'] as const;
export type StatefulService = (typeof statefulServices)[number];
export type ServiceName = StatefulService | 'edge' | 'simulator';

export const nodeFlags = ['--max-semi-space-size=16', '--enable-source-maps'] as const;

// Nothing else of the person's environment reaches a service.
const sharedNames = ['PATH', 'HOME', 'TZ', 'LANG', 'LOG_LEVEL', 'NODE_EXTRA_CA_CERTS'];
const sharedPrefixes = ['SSL_CERT_', 'OTEL_'];
const providerPrefixes = ['OPENAI_', 'ANTHROPIC_'];

/** Everything the services are told, known once the servers run. */
export interface Wiring {
  readonly natsUrl: string;
  readonly databases: Readonly<Record<StatefulService, ProvisionedDatabase>>;
  readonly files: KeyFiles;
  readonly passwords: Passwords;
  /** Absent when a real provider is configured. */
  readonly simulatorUrl: string | undefined;
}

export function mainFile(name: ServiceName): string {
  return join(repositoryRoot, 'apps', name, 'dist', 'main.js');
}

/** The part of the environment that every process of ours may see. */
export function sharedEnvironment(env: NodeJS.ProcessEnv, layout: Layout): NodeJS.ProcessEnv {
  return {
    ...pick(env, (name) => sharedNames.includes(name) || sharedPrefixes.some((prefix) => name.startsWith(prefix))),
    NODE_COMPILE_CACHE: layout.path('cache'),
    ...crashEnvironment(env, layout),
  };
}

/** For tests of sudden deaths: where processes die, and where they leave word of it. */
function crashEnvironment(env: NodeJS.ProcessEnv, layout: Layout): NodeJS.ProcessEnv {
  if (!env['REEF_CRASH_AT']) return {};
  const told = pick(env, (name) => name === 'REEF_CRASH_AT' || name === 'NODE_ENV');
  return { ...told, REEF_CRASH_DIR: layout.path('crashes') };
}

export function simulatorEnvironment(env: NodeJS.ProcessEnv, layout: Layout, port: number): NodeJS.ProcessEnv {
  return { ...sharedEnvironment(env, layout), HOST: '127.0.0.1', PORT: String(port), OPS_PORT: String(port) };
}

/** The environment of `main.js serve`. Provider keys reach dispatch alone. */
export function serviceEnvironment(
  name: StatefulService | 'edge',
  env: NodeJS.ProcessEnv,
  layout: Layout,
  wiring: Wiring,
  port: number,
): NodeJS.ProcessEnv {
  const common = {
    ...sharedEnvironment(env, layout),
    NATS_URL: wiring.natsUrl,
    CONTEXT_JWKS_FILE: wiring.files.publicKeys,
    MASTER_KEY_FILE: wiring.files.masterKey,
  };
  if (name === 'edge') {
    return { ...common, HOST: '127.0.0.1', PORT: String(port), CONTEXT_SIGNING_KEY_FILE: wiring.files.edgeSigningKey };
  }
  const database = wiring.databases[name];
  return {
    // First, so that no variable which the person lends to dispatch takes the place of one of ours.
    ...ownEnvironment(name, env, layout, wiring),
    ...common,
    OPS_PORT: String(port),
    DATABASE_URL: database.appUrl,
    DATABASE_FEED_URL: database.feedUrl,
  };
}

/** The environment of `main.js migrate` and `main.js replay`, which may change tables. */
export function ownerEnvironment(
  name: StatefulService,
  env: NodeJS.ProcessEnv,
  layout: Layout,
  wiring: Wiring,
): NodeJS.ProcessEnv {
  return {
    ...serviceEnvironment(name, env, layout, wiring, 0),
    DATABASE_OWNER_URL: wiring.databases[name].ownerUrl,
  };
}

function ownEnvironment(
  name: StatefulService,
  env: NodeJS.ProcessEnv,
  layout: Layout,
  wiring: Wiring,
): NodeJS.ProcessEnv {
  switch (name) {
    case 'identity':
      return { API_KEY_PEPPER_FILE: wiring.files.apiKeyPepper, PLATFORM_KEY: wiring.passwords.platformKey };
    case 'workspace':
      return { WORKSPACE_ROOT: layout.path('workspace') };
    case 'dispatch': {
      const keys = keyVariablesOf(layout.providersFile);
      return {
        ...pick(env, (variable) => keys.includes(variable)),
        ...pick(env, (variable) => providerPrefixes.some((prefix) => variable.startsWith(prefix))),
        ...pick(env, (variable) => ['REEF_DEFAULT_MODEL', 'REEF_LANE_RUNNING_MAX'].includes(variable)),
        CONTEXT_SIGNING_KEY_FILE: wiring.files.dispatchSigningKey,
        ...(existsSync(layout.providersFile) ? { REEF_CONFIG_FILE: layout.providersFile } : {}),
        ...(wiring.simulatorUrl === undefined ? {} : { SIMULATOR_URL: wiring.simulatorUrl }),
      };
    }
    case 'budgets':
      return pick(env, (variable) => variable === 'REEF_DEFAULT_PLAN' || variable === 'REEF_WEBHOOKS_ALLOW_INSECURE');
    case 'memory':
    case 'telemetry':
      return {};
    default:
      return name satisfies never;
  }
}

export function hasProvider(env: NodeJS.ProcessEnv): boolean {
  return Boolean(env['OPENAI_API_KEY'] || env['ANTHROPIC_API_KEY']) || existsSync(providersFile);
}

function pick(env: NodeJS.ProcessEnv, wanted: (name: string) => boolean): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => wanted(name)));
}
