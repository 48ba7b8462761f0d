import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { type TenantCommand, tenantDecider, type TenantEvent } from './tenant.js';

const given = scenario(tenantDecider);

const createdAt = '2026-11-01T10:00:00.000Z';
const create: TenantCommand = {
  type: 'create',
  data: { tenant: 'acme', ownerUserId: 'ada', ownerEmail: 'ada@acme.test', createdAt },
};
const created: TenantEvent = { type: 'TenantCreated', data: { tenant: 'acme', ownerUserId: 'ada', createdAt } };
const adaJoined: TenantEvent = {
  type: 'MemberJoined',
  data: { userId: 'ada', role: 'owner', email: 'ada@acme.test', joinedAt: createdAt },
};
const suspended: TenantEvent = { type: 'TenantSuspended', data: { reason: 'unpaid' } };
const resumed: TenantEvent = { type: 'TenantResumed', data: {} };
const suspend: TenantCommand = { type: 'suspend', data: { reason: 'unpaid' } };
const resume: TenantCommand = { type: 'resume' };

describe('creating a tenant', () => {
  test('makes its founder the owner', () => given().when(create).then(created, adaJoined));

  test('refuses a name that is taken', () => given(created, adaJoined).when(create).refuses('tenant_taken'));

  test('refuses the name of a suspended tenant too', () =>
    given(created, adaJoined, suspended).when(create).refuses('tenant_taken'));
});

describe('suspending and resuming', () => {
  test('a tenant that works is suspended', () => given(created, adaJoined).when(suspend).then(suspended));

  test('suspending twice is suspending once', () => given(created, adaJoined, suspended).when(suspend).nothing());

  test('a suspended tenant is resumed', () => given(created, adaJoined, suspended).when(resume).then(resumed));

  test('resuming a tenant that works changes nothing', () =>
    given(created, adaJoined, suspended, resumed).when(resume).nothing());

  test('what does not exist is neither suspended nor resumed', () => {
    given().when(suspend).refuses('tenant_not_found');
    given().when(resume).refuses('tenant_not_found');
  });

  test('its members stay members', () =>
    expect(given(created, adaJoined, suspended, resumed).state).toEqual({
      status: 'active',
      createdAt,
      members: { ada: 'owner' },
    }));
});
