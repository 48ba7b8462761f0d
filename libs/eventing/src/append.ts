import type { Result, TenantContext, TransportRefusal } from '@reef/contracts';
import { newId } from '@reef/messaging';
import type { AnyAggregate } from './aggregate.js';
import {
  appendOne,
  type AppendStatement,
  type ChangedRow,
  type HandledCommand,
  type StreamHead,
  toSqlJson,
} from './append-one.js';
import type { CommitGroup, Decision } from './commit-group.js';
import { type DomainEvent, refuse } from './decider.js';
import { encodeEvent } from './event-codec.js';
import type { Waiting } from './intent.js';
import { sealRow } from './sealed-columns.js';
import type { TenantKeys } from './tenant-keys.js';

/** What `es.append` says of a group that it did not write, or of a command that it knew. */
export interface AppendVerdict {
  group_no: number;
  verdict: 'handled' | 'lost';
  command_no: number | null;
  fingerprint: string | null;
  reply: string | null;
  reply_sealed: boolean | null;
}

/** The call that commits these groups. Their commands are numbered in order. */
export function appendStatement(keys: TenantKeys, groups: readonly CommitGroup[]): AppendStatement {
  const tenants = new Set<string>();
  const streams: StreamHead[] = [];
  const commands: HandledCommand[] = [];
  const events: string[] = [];
  const changes: ChangedRow[] = [];
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
        f: fingerprintOf(keys, context),
        r: writes ? storedReply(keys, waiting, decided?.reply) : null,
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
              d: encodeEvent(keys, contract, intent.tenant, intent.stream, event),
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
      changes.push(...changesOf(keys, g, aggregate, tenant, stream, decision.state, written));
    }
  }
  const written = `[${events.join(',')}]`;
  const [stream, ...otherStreams] = streams;
  const [command, ...otherCommands] = commands;
  const isOne = stream && command?.write && otherStreams.length === 0 && otherCommands.length === 0;
  if (isOne && tenants.size === 1) return appendOne(stream, command, written, changes);
  return {
    name: 'append',
    text: 'select * from es.append($1, $2, $3, $4, $5)',
    values: [[...tenants], JSON.stringify(streams), JSON.stringify(commands), written, toSqlJson(changes)],
  };
}

function changesOf(
  keys: TenantKeys,
  g: number,
  aggregate: AnyAggregate,
  tenant: string,
  stream: string,
  state: unknown,
  events: DomainEvent[],
): ChangedRow[] {
  return aggregate.projections.flatMap((projection) => {
    const latest = new Map<string, ChangedRow>();
    for (const change of projection.rows({ tenant, stream, state, events })) {
      const up = 'upsert' in change;
      const row = up ? sealRow(keys, tenant, projection, change.upsert) : change.delete;
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

function storedReply(keys: TenantKeys, waiting: Waiting, reply: unknown): string | null {
  if (reply === undefined) return null;
  const text = JSON.stringify(reply, bigintsAsText);
  return waiting.options.sealReply
    ? keys.seal(waiting.options.context.tenant, `reply|${waiting.commandId}`, text)
    : text;
}

/** An unkeyed hash of an input would let whoever reads the table guess at it: passwords are inputs. */
function fingerprintOf(keys: TenantKeys, { tenant, fingerprint }: TenantContext): string {
  return fingerprint && keys.fingerprint(tenant, fingerprint);
}

/** The answer that a command was given when it was handled first. */
export function earlierAnswer(keys: TenantKeys, waiting: Waiting, earlier: AppendVerdict): Result<unknown> {
  const { context } = waiting.options;
  if (context.fingerprint && earlier.fingerprint && fingerprintOf(keys, context) !== earlier.fingerprint) {
    return refuse<TransportRefusal>('command_id_reused', 'another command was sent under this id');
  }
  const text =
    earlier.reply !== null && earlier.reply_sealed
      ? keys.open(context.tenant, `reply|${waiting.commandId}`, earlier.reply)
      : earlier.reply;
  return { ok: true, value: text === null ? undefined : JSON.parse(text, textAsBigints) };
}

// A stored answer keeps its bigints apart from its strings.
const bigintsAsText = (_key: string, value: unknown) =>
  typeof value === 'bigint' ? { $bigint: value.toString() } : value;
const textAsBigints = (_key: string, value: unknown) =>
  typeof value === 'object' && value !== null && '$bigint' in value ? BigInt(String(value.$bigint)) : value;
