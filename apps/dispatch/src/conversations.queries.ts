import { Controller, Inject } from '@nestjs/common';
import { dispatch, type InputOf, type OutputOf, type ResultOf, type TenantContext, uuid } from '@reef/contracts';
import { decodeCursor, encodeCursor, EventStore, Views } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Query } from '@reef/messaging';
import { agentAggregate, agentStream } from './aggregates.js';
import { AgentRow } from './projections/agents.js';
import { SessionRow } from './projections/sessions.js';
import { TurnRow } from './projections/turns.js';
import type { Providers } from './engines/providers.js';
import { PROVIDERS } from './tokens.js';

const { agents, agent, sessions, transcript, turn, asOf } = dispatch.queries;
type AgentView = OutputOf<typeof agent>;
type TurnView = OutputOf<typeof turn>;
/** Agents of a tenant that `asOf` looks at. */
const AGENTS_AS_OF_MAX = 200;

@Controller()
export class ConversationQueries {
  constructor(
    private readonly views: Views,
    private readonly store: EventStore,
    @Inject(PROVIDERS) private readonly providers: Providers,
  ) {}

  @Query(agents)
  async agents(input: InputOf<typeof agents>, { tenant }: TenantContext): Promise<ResultOf<typeof agents>> {
    const [after] = input.cursor === undefined ? [''] : (decodeCursor(input.cursor) ?? []);
    if (typeof after !== 'string') return badCursor();
    const rows = await this.views
      .of(tenant)
      .find(
        AgentRow,
        { tenantId: tenant, archived: false, agent: { $gt: after } },
        { orderBy: { agent: 'asc' }, limit: input.limit + 1 },
      );
    const page = rows.slice(0, input.limit);
    const last = rows.length > page.length ? page.at(-1) : undefined;
    const items = await Promise.all(page.map((row) => this.#agentView(tenant, row)));
    return { ok: true, value: { items, nextCursor: last ? encodeCursor([last.agent]) : null } };
  }

  @Query(agent)
  async agent(input: InputOf<typeof agent>, { tenant }: TenantContext): Promise<ResultOf<typeof agent>> {
    const row = await this.views
      .of(tenant)
      .findOne(AgentRow, { tenantId: tenant, agent: input.agent, archived: false });
    return row
      ? { ok: true, value: await this.#agentView(tenant, row) }
      : refuse('agent_not_found', 'there is no such agent');
  }

  @Query(sessions)
  async sessions(input: InputOf<typeof sessions>, { tenant }: TenantContext): Promise<ResultOf<typeof sessions>> {
    const before = input.cursor === undefined ? null : timeCursor(input.cursor);
    if (input.cursor !== undefined && !before) return badCursor();
    const rows = await this.views.of(tenant).find(
      SessionRow,
      {
        tenantId: tenant,
        ...(input.agent !== undefined && { agent: input.agent }),
        ...(before && {
          $or: [{ lastTurnAt: { $lt: before.at } }, { lastTurnAt: before.at, session: { $lt: before.id } }],
        }),
      },
      { orderBy: [{ lastTurnAt: 'desc' }, { session: 'desc' }], limit: input.limit + 1 },
    );
    const page = rows.slice(0, input.limit);
    const last = rows.length > page.length ? page.at(-1) : undefined;
    const items = page.map((row) => ({
      session: row.session,
      agent: row.agent,
      user: row.endUser ?? null,
      turns: row.turns,
      startedAt: row.startedAt.toISOString(),
      lastTurnAt: row.lastTurnAt.toISOString(),
    }));
    return {
      ok: true,
      value: { items, nextCursor: last ? encodeCursor([last.lastTurnAt.toISOString(), last.session]) : null },
    };
  }

  @Query(transcript)
  async transcript(input: InputOf<typeof transcript>, { tenant }: TenantContext): Promise<ResultOf<typeof transcript>> {
    const before = input.cursor === undefined ? null : timeCursor(input.cursor);
    if (input.cursor !== undefined && !uuid.safeParse(before?.id).success) return badCursor();
    const views = this.views.of(tenant);
    const session = await views.findOne(SessionRow, { tenantId: tenant, session: input.session });
    if (!session) return refuse('session_not_found', 'there is no such session');
    const rows = await views.find(
      TurnRow,
      {
        tenantId: tenant,
        session: input.session,
        ...(before && {
          $or: [{ requestedAt: { $lt: before.at } }, { requestedAt: before.at, turnId: { $lt: before.id } }],
        }),
      },
      { orderBy: [{ requestedAt: 'desc' }, { turnId: 'desc' }], limit: input.limit + 1 },
    );
    const page = rows.slice(0, input.limit);
    const last = rows.length > page.length ? page.at(-1) : undefined;
    const items = await Promise.all(page.reverse().map((row) => this.#turnView(tenant, row)));
    const nextCursor = last ? encodeCursor([last.requestedAt.toISOString(), last.turnId]) : null;
    return { ok: true, value: { session: session.session, agent: session.agent, items, nextCursor } };
  }

  @Query(turn)
  async turn(input: InputOf<typeof turn>, { tenant }: TenantContext): Promise<ResultOf<typeof turn>> {
    const row = await this.views.of(tenant).findOne(TurnRow, { tenantId: tenant, turnId: input.turnId });
    return row
      ? { ok: true, value: await this.#turnView(tenant, row) }
      : refuse('turn_not_found', 'there is no such turn');
  }

  @Query(asOf)
  async asOf(input: InputOf<typeof asOf>, { tenant }: TenantContext): Promise<ResultOf<typeof asOf>> {
    const rows = await this.views
      .of(tenant)
      .find(
        AgentRow,
        { tenantId: tenant, createdAt: { $lte: new Date(input.at) } },
        { fields: ['agent'], orderBy: { agent: 'asc' }, limit: AGENTS_AS_OF_MAX },
      );
    const states = await Promise.all(
      rows.map((row) => this.store.asOf(agentAggregate, tenant, agentStream(row.agent), new Date(input.at))),
    );
    const found = states.flatMap((state): AgentView[] => {
      if (state.status === 'absent') return [];
      const { status, ...profile } = state;
      return [{ ...profile, model: profile.model ?? this.providers.defaultModel(), archived: status === 'archived' }];
    });
    return { ok: true, value: { agents: found } };
  }

  async #agentView(tenant: string, row: typeof AgentRow.class.prototype): Promise<AgentView> {
    return {
      agent: row.agent,
      name: row.name,
      model: row.model ?? this.providers.defaultModel(),
      instructions: await this.views.open(tenant, 'agents', 'instructions', row.instructions),
      createdAt: row.createdAt.toISOString(),
      archived: row.archived,
    };
  }

  async #turnView(tenant: string, row: typeof TurnRow.class.prototype): Promise<TurnView> {
    const open = async (column: 'message' | 'reply', sealed: string | null | undefined) =>
      typeof sealed === 'string' ? this.views.open(tenant, 'turns', column, sealed) : null;
    return {
      turnId: row.turnId,
      agent: row.agent,
      session: row.session,
      user: row.endUser ?? null,
      model: row.model,
      source: row.source as TurnView['source'],
      status: row.status as TurnView['status'],
      message: (await open('message', row.message)) ?? '',
      reply: await open('reply', row.reply),
      failure: row.failureCode ? { code: row.failureCode, message: row.failureMessage ?? '' } : null,
      usage: row.usage ?? null,
      requestedAt: row.requestedAt.toISOString(),
      endedAt: row.endedAt?.toISOString() ?? null,
    };
  }
}

const badCursor = () => refuse('invalid_input', 'the cursor is not one of ours');

function timeCursor(cursor: string): { at: Date; id: string } | null {
  const [at, id, ...rest] = decodeCursor(cursor) ?? [];
  if (typeof at !== 'string' || typeof id !== 'string' || rest.length > 0) return null;
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? null : { at: date, id };
}
