import { deserialize, serialize } from 'node:v8';
import type { Refusal, Result, TenantContext, TransportRefusal } from '@reef/contracts';
import { currentTraceparent, inSpan, newId, SpanKind } from '@reef/messaging';
import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Aggregate, AnyAggregate } from './aggregate.js';
import { type DomainEvent, fold, isRefusal, refuse } from './decider.js';
import { decodeEvent, encodeEvent } from './event-codec.js';
import { inTenants } from './in-tenants.js';
import { sealRow } from './sealed-columns.js';
import type { TenantKeys } from './tenant-keys.js';

/** Streams that one commit may touch; the rest wait for the next. */
const STREAMS_PER_COMMIT_MAX = 256;
const COMMANDS_PER_COMMIT_MAX = 1_024;
const STREAMS_PER_LOAD_MAX = 256;
/** Commands that may wait in one process; more are refused as `overloaded`. */
const WAITING_MAX = 20_000;
/** Times a command is decided again after it lost against another writer. */
const ATTEMPTS_MAX = 50;
const STATES_CACHED_MAX = 10_000;
const STATE_IDLE_MS = 5 * 60_000;
const RETRY_AFTER_FAULT_MS = 100;
const STOP_TIMEOUT_MS = 10_000;
/** How long a commit that nobody waits for may wait for company. */
export const LINGER_MS = 5;

export interface Intent<State, Command, E extends DomainEvent, Code extends string> {
  readonly aggregate: Aggregate<State, Command, E, Code>;
  readonly tenant: string;
  /** `<aggregate>/<key>`. */
  readonly stream: string;
  readonly command: Command;
  /** The stream's id is fresh and random, so there is nothing to load. A wrong claim costs a retry, not correctness. */
  readonly isNew?: boolean;
}

export interface ExecuteOptions {
  readonly context: TenantContext;
  /** When one request executes several commands, each needs an id of its own. The context's by default. */
  readonly commandId?: string;
  /** The reply holds a secret: it is kept sealed with the tenant's key. */
  readonly sealReply?: boolean;
  /** Nobody waits for this: it may linger to share a commit. */
  readonly relaxed?: boolean;
}

export interface Outcome<State, E extends DomainEvent> {
  readonly state: State;
  readonly events: readonly E[];
}

interface Cached {
  state: unknown;
  version: number;
}

interface Decision {
  readonly intent: AnyIntent;
  readonly key: string;
  readonly events: readonly DomainEvent[];
  readonly state: unknown;
  readonly fromVersion: number;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a queue holds intents of every aggregate
type AnyIntent = Intent<any, any, any, any>;

interface Waiting {
  readonly intents: readonly AnyIntent[];
  readonly keys: readonly string[];
  readonly options: ExecuteOptions;
  readonly commandId: string;
  readonly reply: (outcomes: readonly Outcome<unknown, DomainEvent>[]) => unknown;
  readonly traceparent: string | null;
  readonly settle: (result: Result<unknown>) => void;
  readonly fail: (error: unknown) => void;
  attempts: number;
  /** Decided by itself since a commit it was part of broke. */
  alone: boolean;
}

interface Group {
  readonly waiting: Waiting[];
  readonly decisions: Map<Waiting, { decisions: Decision[]; refusal: Refusal | null; reply: unknown }>;
  readonly states: Map<string, Cached>;
  readonly baseVersions: Map<string, number>;
  /** A group of several streams takes no further commands. */
  readonly closed: boolean;
}

interface AppendVerdict {
  group_no: number;
  verdict: 'handled' | 'lost';
  command_no: number | null;
  fingerprint: string | null;
  reply: string | null;
  reply_sealed: boolean | null;
}

export interface EventStoreOptions {
  readonly service: string;
  /** The service's role, several connections. */
  readonly pool: Pool;
  /** One connection that only commits. */
  readonly writer: Pool;
  readonly keys: TenantKeys;
  readonly onCommit: () => void;
  readonly onBug: (error: unknown) => void;
}

const keyOf = (tenant: string, stream: string) => `${tenant} ${stream}`;

/**
 * Turns commands into committed events. While one commit is in flight, the commands of all streams and all tenants collect;
 * the next commit decides them together and writes them in one round trip (group commit). Of several processes that write
 * one stream, a compare-and-set on the stream's head lets one win; the others load and decide again.
 */
export class EventStore {
  readonly #states = new LRUCache<string, Cached>({ max: STATES_CACHED_MAX, ttl: STATE_IDLE_MS, updateAgeOnGet: true });
  readonly #cold: Waiting[] = [];
  #ready: Waiting[] = [];
  #waitingCount = 0;
  #loading = false;
  #committing = false;
  #scheduled: 'now' | 'soon' | null = null;
  #stopped = false;
  #idle: (() => void)[] = [];
  readonly #running = new Map<string, Promise<Result<unknown>>>();
  readonly #sweep: NodeJS.Timeout;

  constructor(private readonly options: EventStoreOptions) {
    this.#sweep = setInterval(() => {
      this.#states.purgeStale();
      options.keys.forgetIdle();
    }, 30_000).unref();
  }

  /**
   * Decides one command on one stream and commits what it decides.
   * @returns the reply; or the decider's refusal; or `conflict`, `command_id_reused`, `overloaded`, `deadline_exceeded`.
   */
  async execute<State, Command, E extends DomainEvent, Code extends string, Value = undefined>(
    aggregate: Aggregate<State, Command, E, Code>,
    request: Omit<Intent<State, Command, E, Code>, 'aggregate'> &
      ExecuteOptions & { reply?: (state: State, events: readonly E[]) => Value },
  ): Promise<Result<Value, Code>> {
    const { tenant, stream, command, isNew, reply, ...options } = request;
    const outcome = await this.#submit(
      [{ aggregate, tenant, stream, command, ...(isNew && { isNew }) }],
      options,
      ([only]) => (only && reply ? reply(only.state as State, only.events as readonly E[]) : undefined),
    );
    return outcome as Result<Value, Code>;
  }

  /** Decides commands on several streams, perhaps of several tenants, and commits all of them or none. */
  async executeAll<Value = undefined>(
    intents: readonly AnyIntent[],
    request: ExecuteOptions & { reply?: (outcomes: readonly Outcome<unknown, DomainEvent>[]) => Value },
  ): Promise<Result<Value>> {
    const { reply, ...options } = request;
    return (await this.#submit(intents, options, (outcomes) => reply?.(outcomes))) as Result<Value>;
  }

  /**
   * A stream's state and version. With `mayBeStale` it comes from this process's memory where it can, and another process
   * may be ahead of it.
   */
  async load<State, Command, E extends DomainEvent, Code extends string>(
    aggregate: Aggregate<State, Command, E, Code>,
    tenant: string,
    stream: string,
    { mayBeStale = false } = {},
  ): Promise<{ state: State; version: number }> {
    const cached = mayBeStale ? this.#states.get(keyOf(tenant, stream)) : undefined;
    if (cached) return cached as { state: State; version: number };
    const loaded = await this.#read([{ aggregate, tenant, stream }]);
    const found = loaded.get(keyOf(tenant, stream)) ?? { state: aggregate.decider.initial, version: 0 };
    return found as { state: State; version: number };
  }

  /** The fold of a stream up to a time, both ends included. */
  async asOf<State, Command, E extends DomainEvent, Code extends string>(
    aggregate: Aggregate<State, Command, E, Code>,
    tenant: string,
    stream: string,
    at: Date,
  ): Promise<State> {
    await this.options.keys.find([tenant]);
    const rows = await inTenants(this.options.pool, [tenant], async (client) => {
      const found = await client.query<StoredRow>(
        `select tenant_id, stream_id, version, type, schema_version, data from es.event
         where tenant_id = $1 and stream_id = $2 and occurred_at <= $3 order by version`,
        [tenant, stream, at],
      );
      return found.rows;
    });
    return fold(
      aggregate.decider,
      aggregate.decider.initial,
      rows.map((row) => this.#decode(aggregate, row) as E),
    );
  }

  /** Takes nothing more, and commits what waits (at most ten seconds). */
  async stop(): Promise<void> {
    clearInterval(this.#sweep);
    this.#stopped = true;
    if (this.#waitingCount === 0) return;
    const idle = new Promise<void>((resolve) => this.#idle.push(resolve));
    await Promise.race([idle, sleep(STOP_TIMEOUT_MS, undefined, { ref: false })]);
  }

  async #submit(
    intents: readonly AnyIntent[],
    options: ExecuteOptions,
    reply: Waiting['reply'],
  ): Promise<Result<unknown>> {
    if (this.#stopped) return refuse<TransportRefusal>('unavailable', 'the service is stopping');
    if (this.#waitingCount >= WAITING_MAX)
      return refuse<TransportRefusal>('overloaded', 'too many commands are waiting');
    const commandId = options.commandId ?? options.context.commandId;
    const runningKey = `${options.context.tenant} ${commandId}`;
    // A retry that overtakes its original waits for the same outcome.
    const running = this.#running.get(runningKey);
    if (running) return running;
    this.#waitingCount++;
    const done = new Promise<Result<unknown>>((settle, fail) => {
      const keys = intents.map((intent) => keyOf(intent.tenant, intent.stream));
      const traceparent = currentTraceparent();
      const waiting: Waiting = {
        intents,
        keys,
        options,
        commandId,
        reply,
        traceparent,
        settle,
        fail,
        attempts: 0,
        alone: false,
      };
      this.#enqueue(waiting);
    });
    this.#running.set(runningKey, done);
    try {
      return await done;
    } finally {
      this.#running.delete(runningKey);
      this.#waitingCount--;
      if (this.#waitingCount === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  #enqueue(waiting: Waiting): void {
    if (this.#isWarm(waiting)) {
      this.#ready.push(waiting);
      this.#schedule(waiting.options.relaxed ? 'soon' : 'now');
    } else {
      this.#cold.push(waiting);
      if (!this.#loading) setImmediate(() => void this.#warmUp());
    }
  }

  #isWarm(waiting: Waiting): boolean {
    if (!waiting.keys.every((key, index) => waiting.intents[index]?.isNew === true || this.#states.has(key)))
      return false;
    return (
      waiting.intents.every(({ tenant }) => this.options.keys.has(tenant)) &&
      this.options.keys.has(waiting.options.context.tenant)
    );
  }

  async #warmUp(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    try {
      while (this.#cold.length > 0) {
        const batch = this.#cold.splice(0, STREAMS_PER_LOAD_MAX);
        try {
          const wanted = batch
            .flatMap(({ intents }) => intents)
            .filter((intent) => !intent.isNew && !this.#states.has(keyOf(intent.tenant, intent.stream)));
          await this.options.keys.ensure([
            ...batch.flatMap(({ intents }) => intents.map(({ tenant }) => tenant)),
            ...batch.map(({ options }) => options.context.tenant),
          ]);
          for (const [key, loaded] of await this.#read(wanted)) {
            // A commit of ours may have overtaken the read.
            const known = this.#states.peek(key);
            if (!known || known.version < loaded.version) this.#states.set(key, loaded);
          }
          this.#ready.push(...batch);
          this.#schedule('now');
        } catch (error) {
          await this.#afterFault(error, batch);
        }
      }
    } finally {
      this.#loading = false;
    }
  }

  async #read(wanted: readonly Pick<AnyIntent, 'aggregate' | 'tenant' | 'stream'>[]): Promise<Map<string, Cached>> {
    const streams = new Map(wanted.map((each) => [keyOf(each.tenant, each.stream), each]));
    if (streams.size === 0) return new Map();
    const tenants = [...new Set(wanted.map(({ tenant }) => tenant))];
    await this.options.keys.find(tenants);
    const list = [...streams.values()].map(({ aggregate, tenant, stream }) => ({
      t: tenant,
      s: stream,
      shape: aggregate.snapshotShape ?? 1,
    }));
    const { rows } = await this.options.pool.query<StoredRow & { snapshot: string | null }>({
      name: 'load',
      text: 'select * from es.load($1, $2)',
      values: [tenants, JSON.stringify(list)],
    });
    const states = new Map<string, Cached>(
      [...streams].map(([key, { aggregate }]) => [key, { state: aggregate.decider.initial as unknown, version: 0 }]),
    );
    for (const row of rows) {
      const key = keyOf(row.tenant_id, row.stream_id);
      const aggregate = streams.get(key)?.aggregate;
      const cached = states.get(key);
      if (!aggregate || !cached) continue;
      cached.state =
        row.snapshot === null
          ? aggregate.decider.evolve(cached.state, this.#decode(aggregate, row))
          : this.#openSnapshot(row.tenant_id, row.stream_id, row.snapshot);
      cached.version = row.version;
    }
    return states;
  }

  #decode(aggregate: AnyAggregate, row: StoredRow): DomainEvent {
    return decodeStored(this.options.keys, aggregate, row);
  }

  #schedule(when: 'now' | 'soon'): void {
    if (this.#committing || this.#scheduled === 'now' || this.#scheduled === when) return;
    this.#scheduled = when;
    // `setImmediate` lets all messages of one socket read join the same commit.
    if (when === 'now') setImmediate(() => void this.#commitAll());
    else setTimeout(() => void this.#commitAll(), LINGER_MS);
  }

  async #commitAll(): Promise<void> {
    this.#scheduled = null;
    if (this.#committing) return;
    this.#committing = true;
    try {
      while (this.#ready.length > 0) {
        const groups = this.#take();
        if (groups.length === 0) continue; // All of them went to be loaded first.
        await this.#commit(groups);
      }
    } catch (error) {
      this.options.onBug(error);
    } finally {
      this.#committing = false;
      if (this.#ready.length > 0) this.#schedule('now');
    }
  }

  /** Picks what the next commit holds and decides it. */
  #take(): Group[] {
    const byStream = new Map<string, Group>();
    const groups: Group[] = [];
    const later: Waiting[] = [];
    const nowMs = Date.now();
    let commands = 0;
    let full = false;
    for (const waiting of this.#ready.splice(0)) {
      if (full) later.push(waiting);
      else if (waiting.options.context.deadlineMs < nowMs) {
        waiting.settle(refuse<TransportRefusal>('deadline_exceeded', 'nobody waits for this answer any more'));
      } else if (waiting.attempts >= ATTEMPTS_MAX) {
        waiting.settle(refuse<TransportRefusal>('conflict', 'other writers were always faster'));
      } else if (!this.#isWarm(waiting)) this.#enqueue(waiting);
      else if (!this.#join(groups, byStream, waiting)) later.push(waiting);
      else {
        commands++;
        full = waiting.alone || commands >= COMMANDS_PER_COMMIT_MAX || byStream.size >= STREAMS_PER_COMMIT_MAX;
      }
    }
    this.#ready.push(...later);
    return groups.filter(({ waiting }) => waiting.length > 0);
  }

  /** Decides a command within this commit; false where it has to wait for the next. */
  #join(groups: Group[], byStream: Map<string, Group>, waiting: Waiting): boolean {
    const single = waiting.keys.length === 1;
    const taken = waiting.keys.map((key) => byStream.get(key)).find((group) => group !== undefined);
    if (waiting.alone ? groups.length > 0 : taken && (taken.closed || !single)) return false;
    let group = taken;
    if (!group) {
      group = {
        waiting: [],
        decisions: new Map(),
        states: new Map(),
        baseVersions: new Map(),
        closed: !single || waiting.alone,
      };
      groups.push(group);
      for (const key of waiting.keys) byStream.set(key, group);
    }
    try {
      this.#decide(group, waiting);
      group.waiting.push(waiting);
    } catch (error) {
      waiting.fail(error); // A bug in a decider harms its own command only.
    }
    return true;
  }

  #decide(group: Group, waiting: Waiting): void {
    const working = new Map<string, Cached>();
    const decisions: Decision[] = [];
    let refusal: Refusal | null = null;
    for (const [index, intent] of waiting.intents.entries()) {
      const key = waiting.keys[index] ?? '';
      const current = working.get(key) ??
        group.states.get(key) ??
        this.#states.get(key) ?? { state: intent.aggregate.decider.initial as unknown, version: 0 };
      if (!group.baseVersions.has(key)) group.baseVersions.set(key, current.version);
      const decision: readonly DomainEvent[] | Refusal = intent.aggregate.decider.decide(intent.command, current.state);
      if (isRefusal(decision)) {
        refusal = decision;
        break;
      }
      const state: unknown = fold(intent.aggregate.decider, current.state, decision);
      decisions.push({ intent, key, events: decision, state, fromVersion: current.version });
      working.set(key, { state, version: current.version + decision.length });
    }
    if (refusal) {
      group.decisions.set(waiting, { decisions: [], refusal, reply: undefined });
      return;
    }
    const reply = waiting.reply(decisions.map(({ state, events }) => ({ state, events })));
    for (const [key, state] of working) group.states.set(key, state);
    group.decisions.set(waiting, { decisions, refusal: null, reply });
  }

  async #commit(groups: Group[]): Promise<void> {
    let verdicts: AppendVerdict[];
    try {
      const values = this.#toAppend(groups);
      const { rows } = await inSpan(
        `${this.options.service} commit`,
        { kind: SpanKind.INTERNAL, attributes: { 'reef.groups': groups.length } },
        () =>
          this.options.writer.query<AppendVerdict>({
            name: 'append',
            text: 'select * from es.append($1, $2, $3, $4, $5)',
            values,
          }),
      );
      verdicts = rows;
    } catch (error) {
      await this.#afterFault(
        error,
        groups.flatMap(({ waiting }) => waiting),
      );
      return;
    }
    const lost = new Set(verdicts.filter(({ verdict }) => verdict === 'lost').map(({ group_no }) => group_no));
    const handled = new Map<number, AppendVerdict>();
    for (const verdict of verdicts) if (verdict.command_no !== null) handled.set(verdict.command_no, verdict);

    let commandNo = 0;
    let wrote = false;
    for (const [groupNo, group] of groups.entries()) {
      if (lost.has(groupNo)) for (const key of group.baseVersions.keys()) this.#states.delete(key);
      else for (const [key, state] of group.states) this.#remember(key, state);
      for (const waiting of group.waiting) {
        const earlier = handled.get(commandNo++);
        if (earlier) this.#answerAgain(waiting, earlier);
        else if (lost.has(groupNo)) {
          waiting.attempts++;
          this.#enqueue(this.#asKnown(waiting));
        } else {
          const decided = group.decisions.get(waiting);
          if (decided?.decisions.some(({ events }) => events.length > 0)) wrote = true;
          waiting.settle(decided?.refusal ?? { ok: true, value: decided?.reply });
          for (const decision of decided?.decisions ?? []) this.#snapshotIfDue(decision);
        }
      }
    }
    if (wrote) this.options.onCommit();
  }

  /** A claim that a stream is new was wrong once; from now on it is loaded. */
  #asKnown(waiting: Waiting): Waiting {
    return { ...waiting, intents: waiting.intents.map(({ isNew: _isNew, ...intent }) => intent) };
  }

  #remember(key: string, state: Cached): void {
    if (state.version > 0) this.#states.set(key, state);
  }

  #toAppend(groups: Group[]): unknown[] {
    const tenants = new Set<string>();
    const streams: object[] = [];
    const commands: object[] = [];
    const events: string[] = [];
    const changes: object[] = [];
    let commandNo = 0;
    const at = new Date().toISOString();
    for (const [g, group] of groups.entries()) {
      const rowsOf = new Map<string, { decision: Decision; events: DomainEvent[] }>();
      for (const waiting of group.waiting) {
        const { options, commandId } = waiting;
        const { context } = options;
        const decided = group.decisions.get(waiting);
        const writes = decided?.decisions.some((decision) => decision.events.length > 0) ?? false;
        tenants.add(context.tenant);
        commands.push({
          g,
          n: commandNo++,
          t: context.tenant,
          id: commandId,
          f: this.#fingerprint(context),
          r: writes ? this.#storedReply(waiting, decided?.reply) : null,
          sealed: options.sealReply === true,
          write: writes,
        });
        for (const decision of decided?.decisions ?? []) {
          const { intent, key } = decision;
          if (decision.events.length === 0) continue;
          const written = rowsOf.get(key)?.events ?? [];
          written.push(...decision.events);
          rowsOf.set(key, { decision, events: written });
          for (const [index, event] of decision.events.entries()) {
            const contract = intent.aggregate.events[event.type];
            if (!contract) throw new Error(`${intent.aggregate.name} declares no event ${event.type}`);
            events.push(
              JSON.stringify({
                g,
                t: intent.tenant,
                s: intent.stream,
                v: decision.fromVersion + index + 1,
                id: newId(),
                type: event.type,
                sv: contract.schemaVersion,
                d: encodeEvent(this.options.keys, contract, intent.tenant, intent.stream, event),
                actor: `${context.principal.kind}:${context.principal.id}`,
                command: commandId,
                correlation: context.correlationId,
                causation: context.causationId,
                trace: waiting.traceparent,
                at,
              }),
            );
          }
        }
      }
      for (const [key, expected] of group.baseVersions) {
        const [tenant = '', stream = ''] = key.split(' ', 2);
        tenants.add(tenant);
        streams.push({ g, t: tenant, s: stream, expected, next: group.states.get(key)?.version ?? expected });
      }
      for (const { decision, events: written } of rowsOf.values()) {
        const { aggregate, tenant, stream } = decision.intent;
        changes.push(...this.#changes(g, aggregate, tenant, stream, decision.state, written));
      }
    }
    return [
      [...tenants],
      JSON.stringify(streams),
      JSON.stringify(commands),
      `[${events.join(',')}]`,
      JSON.stringify(changes, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
    ];
  }

  #changes(
    g: number,
    aggregate: AnyAggregate,
    tenant: string,
    stream: string,
    state: unknown,
    events: DomainEvent[],
  ): object[] {
    return aggregate.projections.flatMap((projection) => {
      const latest = new Map<string, object>();
      for (const change of projection.rows({ tenant, stream, state, events })) {
        const up = 'upsert' in change;
        const row = up ? sealRow(this.options.keys, tenant, projection, change.upsert) : change.delete;
        // PostgreSQL writes a row once a statement; of several changes to one row the last one counts.
        latest.set(JSON.stringify(projection.key.map((column) => String(row[column]))), {
          g,
          target: projection.table,
          up,
          row: { tenant_id: tenant, ...row },
        });
      }
      return [...latest.values()];
    });
  }

  #storedReply(waiting: Waiting, reply: unknown): string | null {
    if (reply === undefined) return null;
    const text = JSON.stringify(reply, bigintsAsText);
    return waiting.options.sealReply
      ? this.options.keys.seal(waiting.options.context.tenant, `reply|${waiting.commandId}`, text)
      : text;
  }

  /** An unkeyed hash of an input would let whoever reads the table guess at it: passwords are inputs. */
  #fingerprint({ tenant, fingerprint }: TenantContext): string {
    return fingerprint && this.options.keys.fingerprint(tenant, fingerprint);
  }

  #answerAgain(waiting: Waiting, earlier: AppendVerdict): void {
    const { context } = waiting.options;
    if (context.fingerprint && earlier.fingerprint && this.#fingerprint(context) !== earlier.fingerprint) {
      waiting.settle(refuse<TransportRefusal>('command_id_reused', 'another command was sent under this id'));
      return;
    }
    const text =
      earlier.reply !== null && earlier.reply_sealed
        ? this.options.keys.open(context.tenant, `reply|${waiting.commandId}`, earlier.reply)
        : earlier.reply;
    waiting.settle({ ok: true, value: text === null ? undefined : JSON.parse(text, textAsBigints) });
  }

  #snapshotIfDue({ intent, events, fromVersion, state }: Decision): void {
    const every = intent.aggregate.snapshotEvery ?? 0;
    const version = fromVersion + events.length;
    if (every === 0 || Math.floor(version / every) === Math.floor(fromVersion / every)) return;
    const sealed = this.options.keys.seal(
      intent.tenant,
      `snapshot|${intent.stream}`,
      serialize(state).toString('base64'),
    );
    inTenants(this.options.pool, [intent.tenant], (client) =>
      client.query(
        `insert into es.snapshot as s (tenant_id, stream_id, version, shape, state) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, stream_id) do update set version = excluded.version, shape = excluded.shape, state = excluded.state
         where s.version < excluded.version or s.shape <> excluded.shape`,
        [intent.tenant, intent.stream, version, intent.aggregate.snapshotShape ?? 1, sealed],
      ),
    ).catch(this.options.onBug); // A snapshot saves time; the events are the record.
  }

  #openSnapshot(tenant: string, stream: string, sealed: string): unknown {
    return deserialize(Buffer.from(this.options.keys.open(tenant, `snapshot|${stream}`, sealed), 'base64'));
  }

  /** Nothing is known about what a broken commit did: the command ids tell when it is tried again. */
  async #afterFault(error: unknown, batch: Waiting[]): Promise<void> {
    for (const key of batch.flatMap(({ keys }) => keys)) this.#states.delete(key);
    const connectionBroke = isConnectionFault(error);
    if (!connectionBroke) this.options.onBug(error);
    if (connectionBroke) await sleep(RETRY_AFTER_FAULT_MS);
    for (const waiting of batch) {
      if (connectionBroke) {
        const hopeless = waiting.options.context.deadlineMs < Date.now();
        if (hopeless) waiting.settle(refuse<TransportRefusal>('unavailable', 'the database did not answer'));
        else this.#enqueue(this.#asKnown(waiting));
      } else if (waiting.alone || batch.length === 1) waiting.fail(error);
      else {
        const alone = this.#asKnown(waiting);
        alone.alone = true; // One command of the batch is at fault; each is tried by itself to find it.
        this.#enqueue(alone);
      }
    }
  }
}

export interface StoredRow {
  tenant_id: string;
  stream_id: string;
  version: number;
  type: string;
  schema_version: number;
  data: Record<string, unknown>;
}

/** Decodes a row of `es.event`. */
export function decodeStored(keys: TenantKeys, aggregate: AnyAggregate, row: StoredRow): DomainEvent {
  const contract = aggregate.events[row.type];
  if (!contract) throw new Error(`${aggregate.name} knows no event ${row.type}`);
  return decodeEvent(keys, contract, {
    tenant: row.tenant_id,
    stream: row.stream_id,
    version: row.version,
    type: row.type,
    schemaVersion: row.schema_version,
    data: row.data,
  });
}

// A stored answer keeps its bigints apart from its strings.
const bigintsAsText = (_key: string, value: unknown) =>
  typeof value === 'bigint' ? { $bigint: value.toString() } : value;
const textAsBigints = (_key: string, value: unknown) =>
  typeof value === 'object' && value !== null && '$bigint' in value ? BigInt(String(value.$bigint)) : value;

/** Errors after which the server's connection, not the statement, was at fault. */
function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: string }).code ?? '';
  return (
    /^(08|57P|53300|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_)/.test(code) ||
    /terminat|timeout|connection/i.test(error.message)
  );
}
