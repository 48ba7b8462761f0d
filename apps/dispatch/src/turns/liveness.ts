import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { EventStore } from '@reef/eventing';
import { FEED_DATABASE, Periodic, serviceContext } from '@reef/service';
import { Pool } from 'pg';
import { sessionAggregate, sessionStream } from '../aggregates.js';
import { Lanes } from '../lanes/lanes.js';
import { LEASE_S as DEAD_AFTER_S } from '../lanes/leases.js';

const HEARTBEAT_MS = 3_000;
const TURNS_PER_SWEEP_MAX = 500;

/** Ends the turns of processes that died with them: nobody else would, and their clients and sessions would wait. */
@Injectable()
export class Liveness implements OnModuleInit {
  #aliveSinceMs = Infinity;

  constructor(
    private readonly store: EventStore,
    private readonly periodic: Periodic,
    private readonly lanes: Lanes,
    @Inject(FEED_DATABASE) private readonly feed: Pool,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.lanes.arrive();
    await this.#heartbeat();
    this.periodic.every(HEARTBEAT_MS, 'heartbeat', () => this.#heartbeat());
    this.periodic.every(HEARTBEAT_MS, 'end the turns of dead workers', () => this.#sweep());
  }

  async #heartbeat(): Promise<void> {
    try {
      await this.lanes.beat();
      this.#aliveSinceMs = Math.min(this.#aliveSinceMs, Date.now());
    } catch (error) {
      this.#aliveSinceMs = Infinity; // While the database is away nobody can be seen, so nobody is judged.
      throw error;
    }
  }

  async #sweep(): Promise<void> {
    if (Date.now() - this.#aliveSinceMs < DEAD_AFTER_S * 1_000) return; // Others need the time to show that they live.
    const { rows } = await this.feed.query<{ tenant_id: string; turn_id: string; session: string; worker: string }>(
      `select t.tenant_id, t.turn_id, t.session, t.worker from view.turns t
       left join es.worker w on w.worker = t.worker
       where t.status in ('queued', 'running') and coalesce(w.seen_at < now() - make_interval(secs => $1), true)
       limit $2`,
      [DEAD_AFTER_S, TURNS_PER_SWEEP_MAX],
    );
    await Promise.all(
      rows.map(({ tenant_id: tenant, turn_id: turnId, session, worker }) =>
        this.store.execute(sessionAggregate, {
          tenant,
          stream: sessionStream(session),
          command: { type: 'interruptTurn', data: { turnId, worker, at: new Date().toISOString() } },
          context: serviceContext(tenant, 'dispatch', `interrupt:${turnId}`),
        }),
      ),
    );
    await this.feed.query(
      `delete from es.worker w where seen_at < now() - interval '1 hour'
       and not exists (select from view.turns t where t.worker = w.worker and t.status in ('queued', 'running'))`,
    );
  }
}
