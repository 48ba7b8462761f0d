import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { type EndpointCommand, type EndpointEvent, endpoints, secretsOf } from './endpoints.js';

const given = scenario(endpoints);
const NOON_MS = Date.parse('2026-11-22T12:00:00.000Z');
const DAY_MS = 86_400_000;
const setAt = '2026-11-22T12:00:00.000Z';

const endpoint = (name: string) => ({ webhookId: name, url: `https://${name}.example/`, secret: `secret of ${name}` });
const set = (name: string): EndpointCommand => ({ type: 'set', data: { ...endpoint(name), nowMs: NOON_MS } });
const wasSet = (name: string): EndpointEvent => ({ type: 'WebhookSet', data: { ...endpoint(name), setAt } });
const remove = (name: string): EndpointCommand => ({ type: 'remove', data: { webhookId: name, nowMs: NOON_MS } });
const removed = (name: string): EndpointEvent => ({
  type: 'WebhookRemoved',
  data: { webhookId: name, removedAt: setAt },
});
const rotate = (name: string, secret: string): EndpointCommand => ({
  type: 'rotate',
  data: { webhookId: name, secret, nowMs: NOON_MS },
});
const rotated = (name: string, secret: string): EndpointEvent => ({
  type: 'WebhookSecretRotated',
  data: { webhookId: name, secret, previousUntil: '2026-11-23T12:00:00.000Z', rotatedAt: setAt },
});
const several = (count: number) => Array.from({ length: count }, (_, index) => wasSet(`endpoint${index}`));

describe('an endpoint', () => {
  test('is set', () => given().when(set('a')).then(wasSet('a')));

  test('is not set twice', () => given(wasSet('a')).when(set('a')).refuses('webhook_taken'));

  test('is set again after it was removed', () => given(wasSet('a'), removed('a')).when(set('a')).then(wasSet('a')));

  test('is the tenth', () =>
    given(...several(9))
      .when(set('a'))
      .then(wasSet('a')));

  test('is not the eleventh', () =>
    given(...several(10))
      .when(set('a'))
      .refuses('too_many_webhooks', { webhooksMax: 10 }));

  test('is removed, once', () => {
    given(wasSet('a'), wasSet('b')).when(remove('a')).then(removed('a'));
    given(wasSet('a'), removed('a')).when(remove('a')).refuses('webhook_not_found');
    expect([...given(wasSet('a'), wasSet('b'), removed('a')).state.keys()]).toEqual(['b']);
  });
});

describe('a secret', () => {
  test('is replaced', () => given(wasSet('a')).when(rotate('a', 'new')).then(rotated('a', 'new')));

  test('of an endpoint that is not there is not replaced', () =>
    given(wasSet('a'), removed('a')).when(rotate('a', 'new')).refuses('webhook_not_found'));

  test('signs beside the new one for a day after it was replaced, and not a millisecond longer', () => {
    const after = given(wasSet('a'), rotated('a', 'new')).state.get('a')!;
    expect(secretsOf(after, NOON_MS)).toEqual(['new', 'secret of a']);
    expect(secretsOf(after, NOON_MS + DAY_MS - 1)).toEqual(['new', 'secret of a']);
    expect(secretsOf(after, NOON_MS + DAY_MS)).toEqual(['new']);
  });

  test('that is replaced twice leaves the last one before', () => {
    const after = given(wasSet('a'), rotated('a', 'new'), rotated('a', 'newer')).state.get('a')!;
    expect(secretsOf(after, NOON_MS)).toEqual(['newer', 'new']);
  });
});
