import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

const lookEveryMs = 2;
const lookLimitMs = 15_000;

/** Looks for events where telemetry shows them: one at a time, so that looking costs the machine little. */
export class AuditProbe {
  readonly lagsMs: number[] = [];
  #looking: Promise<void> | null = null;

  private constructor(private readonly client: Client) {}

  static async connect(connectionString: string): Promise<AuditProbe> {
    const client = new Client({ connectionString });
    await client.connect();
    return new AuditProbe(client);
  }

  /** Follows the event of a command whose answer, and so its commit, has just come; ignored while another is followed. */
  follow(tenant: string, commandId: string): void {
    this.#looking ??= this.#look(tenant, commandId, performance.now()).finally(() => (this.#looking = null));
  }

  async count(service: string): Promise<number> {
    const { rows } = await this.client.query<{ count: number }>(
      'select count(*)::int as count from view.audit where service = $1',
      [service],
    );
    return rows[0]?.count ?? 0;
  }

  /** From an event's own time, before its commit, to telemetry's, before telemetry's commit, ms: all events of this service since then. */
  async stampedLagMs(service: string, since: Date, share: number): Promise<number> {
    const { rows } = await this.client.query<{ ms: number }>(
      `select percentile_disc($3) within group (order by extract(epoch from recorded_at - occurred_at)::float * 1000) as ms
       from view.audit where service = $1 and occurred_at > $2`,
      [service, since, share],
    );
    return rows[0]?.ms ?? NaN;
  }

  async close(): Promise<void> {
    await this.#looking;
    await this.client.end();
  }

  async #look(tenant: string, commandId: string, committedMs: number): Promise<void> {
    for (;;) {
      const { rowCount } = await this.client.query({
        name: 'probe',
        text: `select from view.audit where tenant_id = $1 and occurred_at > now() - interval '30 s' and command_id = $2`,
        values: [tenant, commandId],
      });
      const lagMs = performance.now() - committedMs;
      if (rowCount) return void this.lagsMs.push(lagMs);
      if (lagMs > lookLimitMs) throw new Error(`an event did not reach the audit within ${lookLimitMs / 1000} s`);
      await sleep(lookEveryMs);
    }
  }
}
