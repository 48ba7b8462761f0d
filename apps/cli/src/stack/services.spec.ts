import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { databasePrefix, externalAdminUrl } from './databases.js';
import { layout as layoutOf } from './layout.js';
import { ownerEnvironment, serviceEnvironment, simulatorEnvironment, statefulServices } from './services.js';
import type { Wiring } from './services.js';

const person = {
  PATH: '/bin',
  HOME: '/home/ada',
  OPENAI_API_KEY: 'sk-openai',
  ANTHROPIC_API_KEY: 'sk-anthropic',
  REEF_DEFAULT_MODEL: 'gpt',
  MY_GROQ_KEY: 'gsk',
  DATABASE_URL: 'postgres://the.person/own',
  AWS_SECRET_ACCESS_KEY: 'aws',
  REEF_DATABASE_URL: 'postgres://admin:secret@db/x',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel',
  NODE_OPTIONS: '--inspect',
};
const layout = layoutOf({ REEF_HOME: '/reef' });
const wiring: Wiring = {
  natsUrl: 'nats://here',
  databases: Object.fromEntries(
    statefulServices.map((name) => [
      name,
      { ownerUrl: `owner:${name}`, appUrl: `app:${name}`, feedUrl: `feed:${name}` },
    ]),
  ) as Wiring['databases'],
  files: {
    edgeSigningKey: 'edge.jwk',
    dispatchSigningKey: 'dispatch.jwk',
    publicKeys: 'jwks',
    masterKey: 'm',
    apiKeyPepper: 'p',
  },
  passwords: {
    postgres: 'admin',
    nats: 'n',
    demo: 'd',
    roles: {} as Wiring['passwords']['roles'],
    platformKey: 'platform',
  },
  simulatorUrl: undefined,
};
const all = [...statefulServices, 'edge' as const];
const of = (name: (typeof all)[number]) => serviceEnvironment(name, person, layout, wiring, 7_000);
const having = (variable: string) => all.filter((name) => variable in of(name));

const folder = mkdtempSync(join(tmpdir(), 'reef-services-'));
const providersFile = join(folder, 'reef.config.json');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('what a process is told', () => {
  test('providers’ keys reach dispatch alone', () => {
    expect(having('OPENAI_API_KEY')).toEqual(['dispatch']);
    expect(having('ANTHROPIC_API_KEY')).toEqual(['dispatch']);
    expect(simulatorEnvironment(person, layout, 7_001)).not.toHaveProperty('OPENAI_API_KEY');
  });

  test('a key that reef.config.json takes from the environment reaches dispatch alone', () => {
    expect(having('MY_GROQ_KEY')).toEqual([]);
    const told = (name: (typeof all)[number], file: string) => {
      writeFileSync(providersFile, file);
      return serviceEnvironment(name, person, { ...layout, providersFile }, wiring, 7_000);
    };
    const groq = JSON.stringify({ providers: { groq: { apiKeyEnv: 'MY_GROQ_KEY' }, local: { apiKey: 'none' } } });
    expect(all.filter((name) => 'MY_GROQ_KEY' in told(name, groq))).toEqual(['dispatch']);
    expect(told('dispatch', groq)).toMatchObject({ MY_GROQ_KEY: 'gsk', REEF_CONFIG_FILE: providersFile });
    expect(told('dispatch', groq)).not.toHaveProperty('AWS_SECRET_ACCESS_KEY');
    expect(told('dispatch', '{"providers": {"a": null, ')).not.toHaveProperty('MY_GROQ_KEY');
    const ours = JSON.stringify({ providers: { odd: { apiKeyEnv: 'DATABASE_URL' } } });
    expect(told('dispatch', ours)).toMatchObject({ DATABASE_URL: 'app:dispatch' });
  });

  test('nobody sees the rest of the person’s environment', () => {
    for (const variable of ['AWS_SECRET_ACCESS_KEY', 'REEF_DATABASE_URL', 'NODE_OPTIONS'])
      expect(having(variable)).toEqual([]);
    expect(having('OTEL_EXPORTER_OTLP_ENDPOINT')).toEqual(all);
  });

  test('who may sign a context, check an API key or act for the platform', () => {
    expect(having('CONTEXT_SIGNING_KEY_FILE')).toEqual(['dispatch', 'edge']);
    expect(having('API_KEY_PEPPER_FILE')).toEqual(['identity']);
    expect(having('PLATFORM_KEY')).toEqual(['identity']);
  });

  test('each reaches its own database, and only a migration as the owner', () => {
    for (const name of statefulServices) {
      expect(of(name)).toMatchObject({
        DATABASE_URL: `app:${name}`,
        DATABASE_FEED_URL: `feed:${name}`,
        OPS_PORT: '7000',
      });
      expect(ownerEnvironment(name, person, layout, wiring)).toMatchObject({ DATABASE_OWNER_URL: `owner:${name}` });
    }
    expect(having('DATABASE_OWNER_URL')).toEqual([]);
    expect(of('edge')).toMatchObject({ PORT: '7000', HOST: '127.0.0.1' });
    expect(of('edge')).not.toHaveProperty('DATABASE_URL');
  });

  test('the databases’ names begin with the one in REEF_DATABASE_URL, else with reef', () => {
    expect(databasePrefix({})).toBe('reef');
    expect(databasePrefix({ REEF_DATABASE_URL: 'postgres://a:b@db' })).toBe('reef');
    expect(databasePrefix({ REEF_DATABASE_URL: 'postgres://a:b@db/staging' })).toBe('staging');
    expect(externalAdminUrl('postgres://a:b@db')).toBe('postgres://a:b@db/postgres');
    expect(externalAdminUrl('postgres://a:b@db/staging')).toBe('postgres://a:b@db/staging');
  });
});
