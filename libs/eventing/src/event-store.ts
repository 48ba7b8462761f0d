import type { Result, TransportRefusal } from '@reef/contracts';
import { crashAt, currentTraceparent, inSpan, SpanKind } from '@reef/messaging';
import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Aggregate } from './aggregate.js';
import { isConnectionFault } from './connection-fault.js';
import { appendStatement, type AppendVerdict, earlierAnswer } from './append.js';
import { type CommitGroup, decideWithin, newGroup } from './commit-group.js';
import { type DomainEvent, refuse } from './decider.js';
import {
  type AnyIntent,
  type ExecuteOptions,
  type Intent,
  keyOf,
  type Outcome,
  type StreamState,
  type Waiting,
} from './intent.js';
import { StreamReader } from './stream-reader.js';
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

/**
 * Turns commands into committed events. While one commit is in flight, the commands of all streams and all tenants collect;
 * the next commit decides them together and writes them in one round trip (group commit). Of several processes that write
 * one stream, a compare-and-set on the stream's head lets one win; the others load and decide again.
 */
export class EventStore {
  readonly #states = new LRUCache<string, StreamState>({
    max: STATES_CACHED_MAX,
    ttl: STATE_IDLE_MS,
    updateAgeOnGet: true,
  });
  readonly #reader: StreamReader;
  readonly #cold: Waiting[] = [];
  #ready: Waiting[] = [];
  #waitingCount = 0;
  #loading = false;
  #committing = false;
  #scheduled = false;
  #stopped = false;
  #idle: (() => void)[] = [];
  readonly #running = new Map<string, Promise<Result<unknown>>>();
  readonly #sweep: NodeJS.Timeout;

  constructor(private readonly options: EventStoreOptions) {
    this.#reader = new StreamReader(options.pool, options.keys);
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
    const loaded = await this.#reader.read([{ aggregate, tenant, stream }]);
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
    return this.#reader.asOf(aggregate, tenant, stream, at);
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
      this.#schedule();
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
          for (const [key, loaded] of await this.#reader.read(wanted)) {
            // A commit of ours may have overtaken the read.
            const known = this.#states.peek(key);
            if (!known || known.version < loaded.version) this.#states.set(key, loaded);
          }
          this.#ready.push(...batch);
          this.#schedule();
        } catch (error) {
          await this.#afterFault(error, batch);
        }
      }
    } finally {
      this.#loading = false;
    }
  }

  #schedule(): void {
    if (this.#committing || this.#scheduled) return;
    this.#scheduled = true;
    // `setImmediate` lets all messages of one socket read join the same commit.
    setImmediate(() => void this.#commitAll());
  }

  async #commitAll(): Promise<void> {
    this.#scheduled = false;
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
      if (this.#ready.length > 0) this.#schedule();
    }
  }

  /** Picks what the next commit holds and decides it. */
  #take(): CommitGroup[] {
    const byStream = new Map<string, CommitGroup>();
    const groups: CommitGroup[] = [];
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
  #join(groups: CommitGroup[], byStream: Map<string, CommitGroup>, waiting: Waiting): boolean {
    const single = waiting.keys.length === 1;
    const taken = waiting.keys.map((key) => byStream.get(key)).find((group) => group !== undefined);
    if (waiting.alone ? groups.length > 0 : taken && (taken.closed || !single)) return false;
    let group = taken;
    if (!group) {
      group = newGroup(!single || waiting.alone);
      groups.push(group);
      for (const key of waiting.keys) byStream.set(key, group);
    }
    try {
      decideWithin(group, waiting, (key) => this.#states.get(key));
      group.waiting.push(waiting);
    } catch (error) {
      waiting.fail(error); // A bug in a decider harms its own command only.
    }
    return true;
  }

  async #commit(groups: CommitGroup[]): Promise<void> {
    let verdicts: AppendVerdict[];
    try {
      const statement = appendStatement(this.options.keys, groups);
      crashAt(this.options.service, 'before-commit');
      const { rows } = await inSpan(
        `${this.options.service} commit`,
        { kind: SpanKind.INTERNAL, attributes: { 'reef.groups': groups.length } },
        () => this.options.writer.query<AppendVerdict>(statement),
      );
      verdicts = rows;
      crashAt(this.options.service, 'after-commit');
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
        if (earlier) waiting.settle(earlierAnswer(this.options.keys, waiting, earlier));
        else if (lost.has(groupNo)) {
          waiting.attempts++;
          this.#enqueue(this.#asKnown(waiting));
        } else {
          const decided = group.decisions.get(waiting);
          if (decided?.decisions.some(({ events }) => events.length > 0)) wrote = true;
          waiting.settle(decided?.refusal ?? { ok: true, value: decided?.reply });
          for (const decision of decided?.decisions ?? []) {
            this.#reader.snapshotIfDue(decision).catch(this.options.onBug);
          }
        }
      }
    }
    if (wrote) this.options.onCommit();
  }

  /** A claim that a stream is new was wrong once; from now on it is loaded. */
  #asKnown(waiting: Waiting): Waiting {
    return { ...waiting, intents: waiting.intents.map(({ isNew: _isNew, ...intent }) => intent) };
  }

  #remember(key: string, state: StreamState): void {
    if (state.version > 0) this.#states.set(key, state);
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
