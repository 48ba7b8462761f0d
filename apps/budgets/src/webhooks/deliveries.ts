import { Inject, Injectable } from '@nestjs/common';
import type { OutputOf, webhooks } from '@reef/contracts';
import { inTenants } from '@reef/eventing';
import { DATABASE, FEED_DATABASE, type OutboundOutcome } from '@reef/service';
import type { Pool } from 'pg';
import type { Verdict } from './attempts.js';
import type { Message, MessageType } from './messages.js';

type Delivery = NonNullable<OutputOf<typeof webhooks.queries.webhooks>['items'][number]['lastDelivery']>;

/** A delivery that this process has taken for one attempt. */
export interface Taken {
  readonly tenant: string;
  readonly webhookId: string;
  readonly messageId: string;
  readonly type: MessageType;
  readonly body: string;
  /** Which attempt it is; the first is 1. */
  readonly attempt: number;
}

/** Longer than an attempt can take; after it, that of a process that died is made by another, s. */
const LEASE_S = 30;
/** Waiting for one endpoint; what comes on top is dropped: an endpoint that is so far behind reads the budget instead. */
export const WAITING_MAX = 1_000;
const KEPT_FOR = '30 days';
const PRUNED_AT_ONCE = 5_000;

/**
 * What is to be sent to endpoints, and what became of it: the work in hand of this service, not its record. Rows are taken under a
 * lease, so that of several instances one sends.
 */
@Injectable()
export class Deliveries {
  constructor(
    @Inject(DATABASE) private readonly database: Pool,
    @Inject(FEED_DATABASE) private readonly feed: Pool,
  ) {}

  /** @returns how many endpoints are so far behind that the message is dropped for them. The same message twice is one. */
  async add(tenant: string, webhookIds: readonly string[], { messageId, type, body }: Message): Promise<number> {
    return inTenants(this.database, [tenant], async (client) => {
      const { rows } = await client.query<{ dropped: number }>(
        `with wanted as (
           select id, (select count(*) from (
             select from view.webhook_deliveries d where d.tenant_id = $1 and d.webhook_id = id and d.status = 'waiting' limit $6
           ) behind) < $6 as room
           from unnest($2::uuid[]) as id
         ), added as (
           insert into view.webhook_deliveries (tenant_id, webhook_id, message_id, type, body)
           select $1, id, $3, $4, $5 from wanted where room
           on conflict do nothing
         )
         select count(*) filter (where not room)::int as dropped from wanted`,
        [tenant, webhookIds, messageId, type, body, WAITING_MAX],
      );
      return rows[0]?.dropped ?? 0;
    });
  }

  /** Takes what is due, the longest due first; of a tenant no more than so many at once, over all instances. */
  async take(most: number, mostOfTenant: number): Promise<Taken[]> {
    const { rows } = await this.feed.query<{
      tenant_id: string;
      webhook_id: string;
      message_id: string;
      type: MessageType;
      body: string;
      attempts: number;
    }>(
      `with busy as (
         select tenant_id, count(*) as calls from view.webhook_deliveries
         where status = 'waiting' and leased_until > now() group by tenant_id
       ), due as (
         select d.tenant_id, d.webhook_id, d.message_id, d.next_attempt_at,
           coalesce(b.calls, 0) + row_number() over (partition by d.tenant_id order by d.next_attempt_at) as place
         from view.webhook_deliveries d left join busy b using (tenant_id)
         where d.status = 'waiting' and d.next_attempt_at <= now() and (d.leased_until is null or d.leased_until <= now())
       ), mine as (
         select d.tenant_id, d.webhook_id, d.message_id
         from view.webhook_deliveries d join due using (tenant_id, webhook_id, message_id)
         where due.place <= $2 and d.status = 'waiting' and (d.leased_until is null or d.leased_until <= now())
         order by due.next_attempt_at limit $1 for update of d skip locked
       )
       update view.webhook_deliveries d set attempts = attempts + 1, leased_until = now() + make_interval(secs => $3)
       from mine where d.tenant_id = mine.tenant_id and d.webhook_id = mine.webhook_id and d.message_id = mine.message_id
       returning d.tenant_id, d.webhook_id, d.message_id, d.type, d.body, d.attempts`,
      [most, mostOfTenant, LEASE_S],
    );
    return rows.map(({ tenant_id, webhook_id, message_id, type, body, attempts }) => ({
      tenant: tenant_id,
      webhookId: webhook_id,
      messageId: message_id,
      type,
      body,
      attempt: attempts,
    }));
  }

  /** Notes an attempt, unless its lease ran out and another process makes the next. */
  async note(taken: Taken, outcome: OutboundOutcome, verdict: Verdict): Promise<void> {
    await this.feed.query(
      `update view.webhook_deliveries set
         status = $5, leased_until = null, http_status = $6, failure = $7,
         next_attempt_at = now() + make_interval(secs => $8::float8 / 1000),
         ended_at = case when $5 <> 'waiting' then now() end
       where tenant_id = $1 and webhook_id = $2 and message_id = $3 and attempts = $4 and status = 'waiting'`,
      [
        ...keyOf(taken),
        taken.attempt,
        verdict.status,
        'status' in outcome ? outcome.status : null,
        'failure' in outcome ? outcome.failure : null,
        verdict.status === 'waiting' ? verdict.pauseMs : 0,
      ],
    );
  }

  /** Gives an attempt back that was not made to its end: it is due at once, and does not count. */
  async giveBack(taken: Taken): Promise<void> {
    await this.feed.query(
      `update view.webhook_deliveries set attempts = attempts - 1, leased_until = null
       where tenant_id = $1 and webhook_id = $2 and message_id = $3 and attempts = $4 and status = 'waiting'`,
      [...keyOf(taken), taken.attempt],
    );
  }

  /** An endpoint was removed: what waits for it has nowhere to go. */
  async forgetEndpoint(tenant: string, webhookId: string): Promise<void> {
    await this.feed.query('delete from view.webhook_deliveries where tenant_id = $1 and webhook_id = $2', [
      tenant,
      webhookId,
    ]);
  }

  async prune(): Promise<void> {
    await this.feed.query(
      `delete from view.webhook_deliveries where (tenant_id, webhook_id, message_id) in (
         select tenant_id, webhook_id, message_id from view.webhook_deliveries
         where ended_at < now() - interval '${KEPT_FOR}' limit $1)`,
      [PRUNED_AT_ONCE],
    );
  }

  /** The newest delivery of each endpoint, by its id. */
  async lastOf(tenant: string): Promise<Map<string, Delivery>> {
    const { rows } = await inTenants(this.database, [tenant], (client) =>
      client.query<Row>(
        `select distinct on (webhook_id) webhook_id, message_id, type, status, attempts, http_status, failure, created_at,
           case when status = 'waiting' then next_attempt_at end as next_attempt_at
         from view.webhook_deliveries where tenant_id = $1 order by webhook_id, created_at desc`,
        [tenant],
      ),
    );
    return new Map(rows.map((row) => [row.webhook_id, viewOf(row)]));
  }
}

interface Row {
  webhook_id: string;
  message_id: string;
  type: MessageType;
  status: Delivery['status'];
  attempts: number;
  http_status: number | null;
  failure: string | null;
  created_at: Date;
  next_attempt_at: Date | null;
}

const viewOf = (row: Row): Delivery => ({
  messageId: row.message_id,
  type: row.type,
  status: row.status,
  attempts: row.attempts,
  httpStatus: row.http_status,
  failure: row.failure,
  createdAt: row.created_at.toISOString(),
  nextAttemptAt: row.next_attempt_at?.toISOString() ?? null,
});

const keyOf = ({ tenant, webhookId, messageId }: Taken) => [tenant, webhookId, messageId];
