import { Explained } from '../explained.js';
import { readIfThere, writePrivate } from './files.js';
import { call } from './http.js';
import type { Passwords } from './keys.js';
import type { Layout } from './layout.js';

/** REEF_HOME/demo.json: how people and tests reach the demo tenant. */
export interface Demo {
  readonly baseUrl: string;
  readonly tenant: string;
  readonly apiKey: string;
  readonly platformKey: string;
  readonly email: string;
  readonly password: string;
}

const tenant = 'demo';
const email = 'demo@reef.example';

export function readDemo(layout: Layout): Demo | undefined {
  const text = readIfThere(layout.path('demo.json'));
  return text === undefined ? undefined : (JSON.parse(text) as Demo);
}

/** Signs the demo tenant up at the first start; later checks that its key still opens the door. */
export async function ensureDemo(
  layout: Layout,
  baseUrl: string,
  passwords: Passwords,
): Promise<{ demo: Demo; warning?: string }> {
  const present = readDemo(layout);
  if (present !== undefined) {
    const demo = { ...present, baseUrl };
    if (present.baseUrl !== baseUrl) write(layout, demo);
    const { status } = await call('GET', `${baseUrl}/v1/models`, { apiKey: demo.apiKey });
    return status === 200
      ? { demo }
      : {
          demo,
          warning: `the API key in ${layout.path('demo.json')} no longer authenticates (${status}); make a new one in the console, or start with --fresh`,
        };
  }
  const { status, body } = await call('POST', `${baseUrl}/api/signup`, {
    body: { email, password: passwords.demo, tenant, name: 'Demo' },
  });
  if (status === 409) {
    throw new Explained(
      `the demo tenant exists, but ${layout.path('demo.json')} is gone. Bring it back, or start with --fresh.`,
    );
  }
  const apiKey = (body as { apiKey?: unknown } | undefined)?.apiKey;
  if (status !== 201 || typeof apiKey !== 'string') {
    throw new Explained(`signing up the demo tenant was answered with ${status}; see ./reef logs edge`);
  }
  const demo = { baseUrl, tenant, apiKey, platformKey: passwords.platformKey, email, password: passwords.demo };
  write(layout, demo);
  return { demo };
}

function write(layout: Layout, demo: Demo): void {
  writePrivate(layout.path('demo.json'), `${JSON.stringify(demo, null, 2)}\n`);
}
