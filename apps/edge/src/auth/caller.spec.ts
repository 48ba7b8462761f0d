import { describe, expect, test } from '@jest/globals';
import { admit, type Role } from './caller.js';

const key = (...tenants: [string, Role, boolean?][]) => ({
  principal: { kind: 'key' as const, id: 'k' },
  tenants: tenants.map(([tenant, role, suspended = false]) => ({ tenant, role, suspended })),
  expiresAt: null,
});
const operator = { principal: { kind: 'platform' as const, id: 'o' }, tenants: [], expiresAt: null };
const ROLES: Role[] = ['viewer', 'member', 'admin', 'owner'];

describe('who is admitted', () => {
  test('a member with at least the role that is needed', () => {
    for (const has of ROLES) {
      for (const needs of ROLES) {
        const { ok } = admit(key(['acme', has]), { plane: 'tenant', role: needs }, 'acme');
        expect(ok).toBe(ROLES.indexOf(has) >= ROLES.indexOf(needs));
      }
    }
  });

  test('nobody of another tenant, nor an operator: for them the tenant does not exist', () => {
    const access = { plane: 'tenant', role: 'viewer' } as const;
    const refusals = [key(['acme', 'owner']), operator].map((known) => admit(known, access, 'bolt'));
    expect(refusals[0]).toMatchObject({ ok: false, code: 'not_found' });
    expect(refusals[1]).toEqual(refusals[0]);
    expect(admit(key(['acme', 'owner']), access, undefined)).toEqual(refusals[0]);
  });

  test('nobody of a suspended tenant', () => {
    expect(admit(key(['acme', 'owner', true]), { plane: 'agents', role: 'viewer' }, undefined)).toMatchObject({
      code: 'tenant_suspended',
    });
  });

  test('to the platform operators alone, under the platform and no tenant', () => {
    expect(admit(operator, { plane: 'platform' }, 'acme')).toMatchObject({
      value: { tenant: 'platform', role: 'operator' },
    });
    expect(admit(key(['acme', 'owner']), { plane: 'platform' }, 'acme')).toMatchObject({ code: 'forbidden' });
  });

  test('to agents by the one tenant of the key; whoever has several must choose a key', () => {
    expect(admit(key(['acme', 'member']), { plane: 'agents', role: 'member' }, undefined)).toMatchObject({
      value: { tenant: 'acme' },
    });
    expect(
      admit(key(['acme', 'member'], ['bolt', 'member']), { plane: 'agents', role: 'member' }, undefined),
    ).toMatchObject({ code: 'tenant_ambiguous' });
  });
});
