import { test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { PLAN } from '../../test/builders.js';
import { planList } from './plan-list.js';

const given = scenario(planList);
const nowMs = Date.parse('2026-11-22T12:00:00.000Z');
const bundle = { ...PLAN, plan: 'bundle', name: 'Bundle' };
const published = (...plans: (typeof PLAN)[]) =>
  ({ type: 'PlansPublished', data: { plans, publishedAt: '2026-11-22T12:00:00.000Z' } }) as const;

test('a deployment is seeded with the plans that it lacks; what an operator made of the others stays', () => {
  given()
    .when({ type: 'seed', data: { plans: [PLAN, bundle], nowMs } })
    .then(published(PLAN, bundle));
  given(published({ ...PLAN, weight: 7 }))
    .when({ type: 'seed', data: { plans: [PLAN, bundle], nowMs } })
    .then(published(bundle));
  given(published(PLAN, bundle))
    .when({ type: 'seed', data: { plans: [PLAN, bundle], nowMs } })
    .nothing();
});

test('an operator changes a plan by publishing it again; the same once more is no news', () => {
  given(published(PLAN))
    .when({ type: 'publish', data: { plans: [{ ...PLAN, weight: 7 }, bundle], nowMs } })
    .then(published({ ...PLAN, weight: 7 }, bundle));
  given(published(PLAN))
    .when({ type: 'publish', data: { plans: [PLAN], nowMs } })
    .nothing();
});

test('a plan that is named twice is refused, and so are top-ups of a limit that is soft or below the tenant', () => {
  given()
    .when({ type: 'publish', data: { plans: [PLAN, PLAN], nowMs } })
    .refuses('plan_repeated', { plan: 'test' });
  const limit = {
    scope: 'tenant',
    scopeId: null,
    window: 'month',
    unit: 'usd',
    cap: 1n,
    hard: true,
    topUps: true,
  } as const;
  for (const misplaced of [
    [{ ...limit, hard: false }],
    [{ ...limit, scope: 'user' as const, scopeId: 'ada' }],
    [limit, { ...limit, window: 'day' as const }],
  ])
    given()
      .when({ type: 'publish', data: { plans: [{ ...PLAN, limits: misplaced }], nowMs } })
      .refuses('top_ups_misplaced');
});
