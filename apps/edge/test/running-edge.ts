import { natsOfThisFile } from '@reef/testing';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEdge } from '../src/start-edge.js';
import { FixtureServices } from './fixture-services.js';

export interface TestEdge extends AsyncDisposable {
  readonly base: string;
  readonly services: FixtureServices;
  readonly edge: Awaited<ReturnType<typeof startEdge>>;
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
}

export interface CallOptions {
  key?: string | null;
  body?: unknown;
  headers?: Record<string, string>;
}

/** The edge on a real NATS, with fixture services and three callers: ada of acme, bob of bolt, and an operator. */
export async function runningEdge(): Promise<TestEdge> {
  const url = await natsOfThisFile();
  const directory = mkdtempSync(join(tmpdir(), 'reef-edge-'));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const kid = 'edge-test';
  const [signing, jwks] = [join(directory, 'signing.json'), join(directory, 'jwks.json')];
  writeFileSync(signing, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid }));
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid }] }));

  const services = await FixtureServices.connect(url, jwks);
  services.credentials({
    'ada-key': { kind: 'key', id: 'adakey0000000000', tenants: [{ tenant: 'acme', role: 'admin' }] },
    'amy-key': { kind: 'key', id: 'amykey0000000000', tenants: [{ tenant: 'acme', role: 'admin' }] },
    'eve-key': { kind: 'key', id: 'evekey0000000000', tenants: [{ tenant: 'acme', role: 'viewer' }] },
    'bob-key': { kind: 'key', id: 'bobkey0000000000', tenants: [{ tenant: 'bolt', role: 'admin' }] },
    'late-key': { kind: 'key', id: 'latekey000000000', tenants: [{ tenant: 'late', role: 'admin', suspended: true }] },
    'ada-session': { kind: 'user', id: ADA, tenants: [{ tenant: 'acme', role: 'owner' }] },
    'operator-key': { kind: 'platform', id: 'operator', tenants: [] },
  });
  const edge = await startEdge({
    PORT: '0',
    NATS_URL: url,
    CONTEXT_SIGNING_KEY_FILE: signing,
    CONTEXT_JWKS_FILE: jwks,
  });
  const base = `http://127.0.0.1:${edge.port}`;
  return {
    base,
    services,
    edge,
    call(method, path, { key = 'ada-key', body, headers = {} } = {}) {
      const isJson = body !== undefined && !(body instanceof Uint8Array) && typeof body !== 'string';
      return fetch(base + path, {
        method,
        redirect: 'manual',
        headers: {
          ...(key !== null && { authorization: `Bearer ${key}` }),
          ...(isJson && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: isJson ? JSON.stringify(body) : (body as string | Uint8Array<ArrayBuffer>) }),
      });
    },
    async [Symbol.asyncDispose]() {
      await edge.close();
      await services.close();
    },
  };
}

export const ADA = '0196f000-0000-7000-8000-000000000001';
