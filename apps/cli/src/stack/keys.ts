import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readIfThere, writePrivate } from './files.js';
import type { Layout } from './layout.js';
import { statefulServices } from './services.js';
import type { StatefulService } from './services.js';

export interface Passwords {
  readonly postgres: string;
  readonly nats: string;
  readonly demo: string;
  readonly roles: Readonly<Record<StatefulService, string>>;
  /** `reef_platform_<id>_<secret>` */
  readonly platformKey: string;
}

export interface KeyFiles {
  readonly edgeSigningKey: string;
  readonly dispatchSigningKey: string;
  readonly publicKeys: string;
  readonly masterKey: string;
  readonly apiKeyPepper: string;
}

/** Makes once what is missing in REEF_HOME/keys; what is there is never changed. */
export function ensureKeys(layout: Layout): { files: KeyFiles; passwords: Passwords } {
  const folder = layout.path('keys');
  const files: KeyFiles = {
    edgeSigningKey: join(folder, 'context-edge.jwk'),
    dispatchSigningKey: join(folder, 'context-dispatch.jwk'),
    publicKeys: join(folder, 'context.jwks'),
    masterKey: join(folder, 'master.key'),
    apiKeyPepper: join(folder, 'api-key.pepper'),
  };
  const edge = ensure(files.edgeSigningKey, () => JSON.stringify(signingKey('edge-1')));
  const dispatch = ensure(files.dispatchSigningKey, () => JSON.stringify(signingKey('dispatch-1')));
  // Follows from the private ones, so that a set left over from other keys cannot stay.
  writePrivate(files.publicKeys, JSON.stringify({ keys: [edge, dispatch].map(publicPart) }));
  ensure(files.masterKey, () => randomBytes(32).toString('base64'));
  ensure(files.apiKeyPepper, () => randomBytes(32).toString('base64'));
  const passwords = JSON.parse(
    ensure(join(folder, 'passwords.json'), () => JSON.stringify(newPasswords())),
  ) as Passwords;
  return { files, passwords };
}

function ensure(path: string, make: () => string): string {
  const present = readIfThere(path);
  if (present !== undefined) return present;
  const made = make();
  writePrivate(path, made);
  return made;
}

function signingKey(kid: string) {
  return { ...generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }), kid, alg: 'EdDSA', use: 'sig' };
}

function publicPart(text: string): Record<string, unknown> {
  const { d: _private, ...rest } = JSON.parse(text) as Record<string, unknown>;
  return rest;
}

function newPasswords(): Passwords {
  const password = () => randomBytes(24).toString('hex');
  return {
    postgres: password(),
    nats: password(),
    demo: password(),
    roles: Object.fromEntries(statefulServices.map((name) => [name, password()])) as Passwords['roles'],
    platformKey: `reef_platform_${randomBytes(8).toString('hex')}_${randomBytes(32).toString('hex')}`,
  };
}
