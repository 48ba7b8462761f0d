import { describe, expect, test } from '@jest/globals';
import fastify from 'fastify';
import type { Edge } from './edge.js';
import { fastifyPath, mount } from './http/mount.js';
import { openApi, openApiPath } from './http/openapi.js';
import { routes } from './routes.js';

type Operation = {
  parameters?: { name: string; in: string }[];
  requestBody?: object;
  responses: Record<string, object>;
  operationId: string;
};
const document = openApi(routes) as { openapi: string; paths: Record<string, Record<string, Operation>> };

describe('the table of routes', () => {
  test('is all that listens, and all of it is documented', async () => {
    const listening: string[] = [];
    const instance = fastify({ exposeHeadRoutes: false });
    instance.addHook('onRoute', ({ method, url }) => void listening.push(`${String(method)} ${url}`));
    mount(instance, routes, {} as Edge);
    await instance.ready();
    const documented = routes
      .filter(({ path, method }) => document.paths[openApiPath(path)]?.[method.toLowerCase()])
      .map(({ method, path }) => `${method} ${fastifyPath(path)}`);
    expect(listening.sort()).toEqual(documented.sort());
    const operations = Object.values(document.paths).flatMap((methods) => Object.keys(methods));
    expect(operations).toHaveLength(listening.length);
  });

  test('names every part of a path, once each', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const { parameters = [] } of Object.values(methods))
        expect(parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)).toEqual(inPath);
    }
  });

  test('gives every operation a name of its own', () => {
    const names = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  test('opens nothing to everybody but what everybody may have', () => {
    const open = routes.filter(({ access }) => access.plane === 'public').map(({ path }) => path);
    expect(open.sort()).toEqual(
      ['/', '/api/docs', '/api/login', '/api/openapi.json', '/api/signup', '/healthz', '/metrics', '/readyz'].sort(),
    );
    for (const { path, access } of routes) {
      expect(path.startsWith('/api/tenants/')).toBe(access.plane === 'tenant');
      expect(path.startsWith('/api/platform/')).toBe(access.plane === 'platform');
      expect(path.startsWith('/v1/')).toBe(access.plane === 'agents');
    }
  });

  test('takes no body that names a tenant, except where a tenant is made', () => {
    for (const { path, body } of routes) {
      if (body === null || body === 'bytes' || path === '/api/signup') continue;
      const named = body.safeParse({ tenant: 'bolt' });
      expect(named.success).toBe(false);
    }
  });
});
