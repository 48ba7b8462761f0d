import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, type InputOf, type OutputOf, webhooks } from '@reef/contracts';
import { newId } from '@reef/messaging';
import { startService as startInstance } from '@reef/service';
import { eventually, startService, type TestService } from '@reef/testing';
import { BudgetsModule, definition } from '../src/budgets.module.js';

const { commands, queries } = webhooks;
type Webhook = OutputOf<typeof queries.webhooks>['items'][number];

describe('webhooks', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startService(definition, BudgetsModule, { env: { REEF_WEBHOOKS_ALLOW_INSECURE: 'true' } });
  }, 60_000);
  afterAll(async () => {
    await service[Symbol.asyncDispose]();
  });

  test('are set with a secret that is shown once, listed, and removed', async () => {
    const tenant = service.tenant();
    const set = await webhookOf(tenant, 'http://127.0.0.1:9/hook');
    expect(set).toMatchObject({ url: 'http://127.0.0.1:9/hook', secret: expect.stringMatching(/^whsec_[\w+/]{43}=$/) });
    expect(await webhooksOf(tenant)).toEqual([
      { webhookId: set.webhookId, url: set.url, createdAt: set.createdAt, lastDelivery: null },
    ]);
    const removed = await service.send(commands.removeWebhook, tenant, { webhookId: set.webhookId });
    expect(removed).toEqual({ ok: true, value: {} });
    expect(await webhooksOf(tenant)).toEqual([]);
    const again = await service.send(commands.removeWebhook, tenant, { webhookId: set.webhookId });
    expect(again).toMatchObject({ code: 'webhook_not_found' });
  });

  test('set again under one command id have the same secret', async () => {
    const tenant = service.tenant();
    const set = () =>
      service.send(commands.setWebhook, tenant, { url: 'http://127.0.0.1:9/' }, { commandId: 'the-same' });
    expect(await set()).toEqual(await set());
    expect(await webhooksOf(tenant)).toHaveLength(1);
  });

  test('are a matter of owners and admins of the tenant', async () => {
    const tenant = service.tenant();
    const { webhookId } = await webhookOf(tenant, 'http://127.0.0.1:9/');
    for (const role of ['member', 'viewer', 'operator'] as const) {
      const asked = [
        await service.send(commands.setWebhook, tenant, { url: 'http://127.0.0.1:8/' }, { role }),
        await service.send(commands.removeWebhook, tenant, { webhookId }, { role }),
        await service.send(commands.rotateWebhookSecret, tenant, { webhookId }, { role }),
        await service.send(commands.testWebhook, tenant, { webhookId }, { role }),
        await service.send(queries.webhooks, tenant, {}, { role }),
      ];
      expect(asked.map((answer) => !answer.ok && answer.code)).toEqual(Array(5).fill('forbidden'));
    }
    const other = service.tenant();
    expect(await webhooksOf(other)).toEqual([]);
    for (const message of [commands.removeWebhook, commands.rotateWebhookSecret, commands.testWebhook])
      expect(await service.send(message, other, { webhookId })).toMatchObject({ code: 'webhook_not_found' });
    expect(await webhooksOf(tenant)).toHaveLength(1);
  });

  test('are kept so that nobody who reads the database learns a URL or a secret', async () => {
    const tenant = service.tenant();
    const { secret } = await webhookOf(tenant, 'http://127.0.0.1:9/a-path-that-is-a-password');
    const { rows } = await service.owner.query<{ all: string }>(
      `select json_build_array(
         (select json_agg(e) from es.event e where tenant_id = $1),
         (select json_agg(c) from es.command c where tenant_id = $1),
         (select json_agg(d) from view.webhook_deliveries d where tenant_id = $1))::text as all`,
      [tenant],
    );
    expect(rows[0]!.all).toContain('WebhookSet');
    expect(rows[0]!.all).not.toContain('a-path-that-is-a-password');
    expect(rows[0]!.all).not.toContain(secret.slice(6));
  });

  test('are told of a threshold once each, signed, however often the event arrives', async () => {
    const tenant = service.tenant();
    await using first = await listening();
    await using second = await listening();
    const { secret } = await webhookOf(tenant, first.url);
    await webhookOf(tenant, second.url);
    const { eventId } = await crossed(tenant);
    await crossed(tenant, { eventId });
    await eventually(async () => first.heard.length + second.heard.length === 2);
    await crossed(tenant, { eventId });
    await everythingHandled();

    const [heard] = first.heard;
    expect(heard!.headers).toMatchObject({ 'webhook-id': `msg_${eventId}`, 'content-type': 'application/json' });
    expect(JSON.parse(heard!.body)).toMatchObject({
      type: 'budget.threshold',
      timestamp: '2026-11-22T12:00:00.000Z',
      data: { tenant, unit: 'usd', cap: '5', posted: '4', thresholdPercent: 80 },
    });
    expect(heard!.headers['webhook-signature']).toBe(signatureOf(heard!, secret));
    expect(Math.abs(Number(heard!.headers['webhook-timestamp']) - Date.now() / 1_000)).toBeLessThan(30);
    await eventually(
      () => lastOf(tenant, first.url),
      (last) => last?.status === 'delivered',
    );
    expect(await lastOf(tenant, first.url)).toMatchObject({ attempts: 1, httpStatus: 200, nextAttemptAt: null });
    expect([first.heard.length, second.heard.length]).toEqual([1, 1]);
  });

  test('are told when a real budget is used up', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening();
    await webhookOf(tenant, endpoint.url);
    const limits = [
      { scope: 'tenant', scopeId: null, window: 'total', unit: 'tokens', cap: 200n, hard: true },
    ] as const;
    await service.send(budgets.commands.setLimits, tenant, { limits: [...limits] });
    await spend(tenant, 150);
    await eventually(async () => endpoint.heard.length >= 1);
    expect(JSON.parse(endpoint.heard[0]!.body)).toMatchObject({ data: { thresholdPercent: 50, posted: '150' } });
  });

  test('are told again after wrong answers, under the same id and with a newer time', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening([500, 302, 404, 200]);
    const { secret } = await webhookOf(tenant, endpoint.url);
    await crossed(tenant);
    for (const [attempts, httpStatus] of [
      [1, 500],
      [2, 302],
      [3, 404],
    ]) {
      await eventually(
        () => lastOf(tenant),
        (last) => last?.httpStatus === httpStatus,
      );
      const last = await lastOf(tenant);
      expect(last).toMatchObject({ status: 'waiting', attempts, httpStatus });
      expect(Date.parse(last!.nextAttemptAt!)).toBeGreaterThan(Date.now() + 2_000);
      await makeDue(tenant);
    }
    await eventually(
      () => lastOf(tenant),
      (last) => last?.status === 'delivered',
    );
    expect(endpoint.heard.map(({ url }) => url)).toEqual(Array(4).fill('/'));
    expect(new Set(endpoint.heard.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    for (const heard of endpoint.heard) expect(heard.headers['webhook-signature']).toBe(signatureOf(heard, secret));
  });

  test('are given up after the sixth attempt, and shown as failed', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening([500]);
    await webhookOf(tenant, endpoint.url);
    await crossed(tenant);
    for (let attempts = 1; attempts <= 6; attempts++) {
      await eventually(
        () => lastOf(tenant),
        (last) => last?.httpStatus === 500 && last.attempts === attempts,
      );
      if (attempts < 6) await makeDue(tenant, { forgetting: true });
    }
    expect(await lastOf(tenant)).toMatchObject({ status: 'failed', attempts: 6, nextAttemptAt: null });
    await makeDue(tenant);
    await crossed(tenant);
    await eventually(async () => endpoint.heard.length === 7);
    expect(new Set(endpoint.heard.slice(0, 6).map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  }, 20_000);

  test('that hang take no place of another tenant’s, and are tried again', async () => {
    const [slow, quick] = [service.tenant(), service.tenant()];
    await using hanging = await listening([null]);
    await using endpoint = await listening();
    await webhookOf(slow, hanging.url);
    await webhookOf(quick, endpoint.url);
    for (let messages = 0; messages < 40; messages++) await crossed(slow);
    await eventually(async () => hanging.heard.length === 4);
    await crossed(quick);
    await eventually(async () => endpoint.heard.length === 1);
    expect(hanging.heard).toHaveLength(4);
    hanging.answerWith(200);
    hanging.drop();
    await eventually(async () => hanging.heard.length === 40);
    await makeDue(slow);
    await eventually(async () => hanging.heard.length === 44);
  }, 30_000);

  test('are told after a restart what could not be told before it', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening([null]);
    await webhookOf(tenant, endpoint.url);
    await crossed(tenant);
    await eventually(async () => endpoint.heard.length === 1);
    endpoint.answerWith(200);
    await service.restart();
    await eventually(
      () => lastOf(tenant),
      (last) => last?.status === 'delivered',
    );
    expect(await lastOf(tenant)).toMatchObject({ attempts: 1 });
  }, 30_000);

  test('whose process died over an attempt are told by another when its lease is over, and not before', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening();
    const { webhookId } = await webhookOf(tenant, endpoint.url);
    const lease = (seconds: number) =>
      service.owner.query(
        `insert into view.webhook_deliveries as d (tenant_id, webhook_id, message_id, type, body, attempts, leased_until)
         values ($1, $2, 'msg_1', 'budget.threshold', '{}', 1, now() + make_interval(secs => $3))
         on conflict (tenant_id, webhook_id, message_id) do update set leased_until = excluded.leased_until`,
        [tenant, webhookId, seconds],
      );
    await lease(30);
    await crossed(tenant);
    await eventually(async () => endpoint.heard.length === 1);
    expect(endpoint.heard.map(({ headers }) => headers['webhook-id'])).not.toContain('msg_1');
    await lease(-1);
    await eventually(async () => endpoint.heard.length === 2);
    expect(endpoint.heard[1]!.headers['webhook-id']).toBe('msg_1');
  });

  test('are told by one of two instances', async () => {
    const other = await startInstance(definition, BudgetsModule);
    try {
      const tenants = Array.from({ length: 15 }, () => service.tenant());
      await using endpoint = await listening();
      for (const tenant of tenants) await webhookOf(tenant, endpoint.url);
      await Promise.all(tenants.flatMap((tenant) => [crossed(tenant), crossed(tenant)]));
      await eventually(async () => endpoint.heard.length >= 30);
      for (const tenant of tenants)
        await eventually(
          () => lastOf(tenant),
          (last) => last?.status === 'delivered' && last.attempts === 1,
        );
      expect(new Set(endpoint.heard.map(({ headers }) => headers['webhook-id'])).size).toBe(30);
      expect(endpoint.heard).toHaveLength(30);
    } finally {
      await other.close();
    }
  }, 30_000);

  test('are signed with the old secret too for a day after it was replaced', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening();
    const { webhookId, secret: old } = await webhookOf(tenant, endpoint.url);
    const rotated = await service.send(commands.rotateWebhookSecret, tenant, { webhookId });
    if (!rotated.ok) throw new Error(rotated.message);
    await crossed(tenant);
    await eventually(async () => endpoint.heard.length === 1);
    const [heard] = endpoint.heard;
    expect(heard!.headers['webhook-signature']).toBe(
      `${signatureOf(heard!, rotated.value.secret)} ${signatureOf(heard!, old)}`,
    );
  });

  test('can be tested: one message, no second attempt, the outcome to be seen', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening([500]);
    const { webhookId } = await webhookOf(tenant, endpoint.url);
    const tested = await service.send(commands.testWebhook, tenant, { webhookId }, { commandId: 'a-test' });
    expect(await service.send(commands.testWebhook, tenant, { webhookId }, { commandId: 'a-test' })).toEqual(tested);
    await eventually(
      () => lastOf(tenant),
      (last) => last?.status === 'failed',
    );
    expect(await lastOf(tenant)).toMatchObject({ type: 'webhook.test', attempts: 1, httpStatus: 500 });
    expect(endpoint.heard.map(({ body }) => JSON.parse(body))).toMatchObject([
      { type: 'webhook.test', data: { tenant, webhookId } },
    ]);
  });

  test('that are removed hear nothing more', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening([500]);
    const { webhookId } = await webhookOf(tenant, endpoint.url);
    await crossed(tenant);
    await eventually(
      () => lastOf(tenant),
      (last) => last?.httpStatus === 500,
    );
    await service.send(commands.removeWebhook, tenant, { webhookId });
    expect(await countOf(tenant)).toBe(0);
    await crossed(tenant);
    await everythingHandled();
    expect(endpoint.heard).toHaveLength(1);
  });

  test('that are a thousand messages behind are told no more', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening([500]);
    const { webhookId } = await webhookOf(tenant, endpoint.url);
    await service.owner.query(
      `insert into view.webhook_deliveries (tenant_id, webhook_id, message_id, type, body, next_attempt_at)
       select $1, $2, 'msg_' || n, 'budget.threshold', '{}', now() + interval '1 hour' from generate_series(1, 1000) n`,
      [tenant, webhookId],
    );
    expect(await service.send(commands.testWebhook, tenant, { webhookId })).toMatchObject({ code: 'overloaded' });
    await service.owner.query(`delete from view.webhook_deliveries where tenant_id = $1 and message_id = 'msg_1'`, [
      tenant,
    ]);
    expect(await service.send(commands.testWebhook, tenant, { webhookId })).toMatchObject({ ok: true });
  });

  test('hear nothing that is old when the feed tells everything anew', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening();
    await webhookOf(tenant, endpoint.url);
    await crossed(tenant, { occurredAt: new Date(Date.now() - 3 * 86_400_000 - 60_000).toISOString() });
    await crossed(tenant, { occurredAt: new Date(Date.now() - 3 * 86_400_000 + 60_000).toISOString() });
    await eventually(async () => endpoint.heard.length === 1);
    await everythingHandled();
    expect(await countOf(tenant)).toBe(1);
  });

  test('lead to the public internet alone, whenever they were set', async () => {
    const tenant = service.tenant();
    await using endpoint = await listening();
    await webhookOf(tenant, endpoint.url);
    process.env['REEF_WEBHOOKS_ALLOW_INSECURE'] = 'false';
    await service.restart();
    for (const url of [endpoint.url, 'https://127.0.0.1/', 'https://[::1]/', 'https://a:b@example.com/', 'file:///etc'])
      expect(await service.send(commands.setWebhook, tenant, { url })).toMatchObject({ code: 'url_refused' });
    await crossed(tenant);
    await eventually(
      () => lastOf(tenant),
      (last) => last?.failure === 'address_refused',
    );
    expect(endpoint.heard).toEqual([]);
  }, 30_000);

  test('leave the read models as the events have them', async () => {
    expect(await service.replayCheck()).toEqual([]);
  });

  /** The feed is handled in its order: who hears of a later event knows that the earlier ones are done with. */
  async function everythingHandled(): Promise<void> {
    const tenant = service.tenant();
    await using endpoint = await listening();
    await webhookOf(tenant, endpoint.url);
    await crossed(tenant);
    await eventually(async () => endpoint.heard.length === 1);
  }

  async function webhookOf(tenant: string, url: string) {
    const set = await service.send(commands.setWebhook, tenant, { url });
    if (!set.ok) throw new Error(set.message);
    return set.value;
  }

  async function webhooksOf(tenant: string): Promise<Webhook[]> {
    const listed = await service.send(queries.webhooks, tenant, {});
    if (!listed.ok) throw new Error(listed.message);
    return listed.value.items;
  }

  async function lastOf(tenant: string, url?: string): Promise<Webhook['lastDelivery']> {
    const found = (await webhooksOf(tenant)).find((each) => url === undefined || each.url === url);
    return found?.lastDelivery ?? null;
  }

  const crossed = (tenant: string, more: { eventId?: string; occurredAt?: string } = {}) =>
    service.publish(
      budgets.events.ThresholdCrossed,
      tenant,
      {
        scope: 'tenant',
        scopeId: null,
        window: 'month',
        windowKey: '2026-11',
        windowEndsAt: '2026-12-01T00:00:00.000Z',
        unit: 'usd',
        thresholdPercent: 80,
        cap: '5000000000000',
        posted: '4000000000000',
        hard: true,
        crossedAt: '2026-11-22T12:00:00.000Z',
      },
      more,
    );

  /** The pause is over. */
  async function makeDue(tenant: string, { forgetting = false } = {}): Promise<void> {
    await service.owner.query(
      `update view.webhook_deliveries set next_attempt_at = now(), http_status = case when $2 then null else http_status end
       where tenant_id = $1 and status = 'waiting'`,
      [tenant, forgetting],
    );
  }

  async function countOf(tenant: string): Promise<number> {
    const { rows } = await service.owner.query<{ n: number }>(
      'select count(*)::int as n from view.webhook_deliveries where tenant_id = $1',
      [tenant],
    );
    return rows[0]!.n;
  }

  async function spend(tenant: string, tokens: number): Promise<void> {
    const input: InputOf<typeof budgets.commands.reserve> = {
      reservationId: newId(),
      attribution: {
        turnId: newId(),
        agent: 'main',
        user: null,
        session: 'agent:main:main',
        keyId: null,
        model: 'simulator/sim-echo',
        source: 'chat',
      },
      inputTokensMax: tokens - 64,
      outputTokensMax: 64,
      firstOfTurn: true,
      worker: 'worker-1',
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
    };
    const held = await service.send(budgets.commands.reserve, tenant, input);
    if (!held.ok) throw new Error(held.message);
    const settled = await service.send(budgets.commands.settle, tenant, {
      reservationId: input.reservationId,
      window: held.value.window,
      outcome: 'completed',
      usage: {
        inputTokens: tokens - 64,
        cacheReadTokens: 0,
        cacheWriteTokens: 0,
        cacheWrite1hTokens: 0,
        outputTokens: 64,
        reasoningTokens: 0,
      },
      outputTokensSeen: 64,
    });
    if (!settled.ok) throw new Error(settled.message);
  }
});

interface Heard {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** An endpoint that answers with these statuses, one after the other and the last for ever; null: not at all. */
async function listening(statuses: (number | null)[] = [200]) {
  const heard: Heard[] = [];
  const open = new Set<ServerResponse>();
  const left = [...statuses];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      heard.push({ url: request.url ?? '', headers: request.headers, body });
      const status = left.length > 1 ? left.shift() : left[0];
      if (typeof status !== 'number') return void open.add(response);
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('ignored');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    heard,
    answerWith: (status: number) => left.splice(0, left.length, status),
    /** Breaks the connections that wait for an answer. */
    drop: () => open.forEach((response) => response.destroy()),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function signatureOf({ headers, body }: Heard, secret: string): string {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
}
