import { Controller, Inject } from '@nestjs/common';
import { type InputOf, memory, type OutputOf, type ResultOf, type TenantContext } from '@reef/contracts';
import { decodeCursor, encodeCursor, inTenants, Views } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Query } from '@reef/messaging';
import { DATABASE } from '@reef/service';
import { Pool } from 'pg';
import { wordsOf } from './domain/words.js';
import { unlessTenant } from './permission.js';
import { MemoryRow } from './projections/memories.js';

const { recall, memories, hasMemories } = memory.queries;
type MemoryView = OutputOf<typeof recall>['items'][number];

/** A question is searched by its first distinct words, found in its first characters. */
const QUESTION_WORDS_MAX = 64;
const QUESTION_CHARACTERS_MAX = 20_000;

interface RecalledRow {
  memory_id: string;
  agent: string;
  end_user: string | null;
  text: string;
  remembered_at: Date;
}

@Controller()
export class MemoryQueries {
  constructor(
    private readonly views: Views,
    @Inject(DATABASE) private readonly database: Pool,
  ) {}

  /**
   * Ranked by how many words of the question a memory holds, the newer first among equals. Where none holds any, the newest:
   * a greeting has no words in common with what is known about the person.
   */
  @Query(recall)
  async recall(input: InputOf<typeof recall>, context: TenantContext): Promise<ResultOf<typeof recall>> {
    const forbidden = unlessTenant(context);
    if (forbidden) return forbidden;
    const question = tsqueryOf(wordsOf(input.text.slice(0, QUESTION_CHARACTERS_MAX), QUESTION_WORDS_MAX));
    const rows = await inTenants(this.database, [context.tenant], async (client) => {
      const whose = [context.tenant, input.agent, input.user, input.limit];
      const found = await client.query<RecalledRow>({ name: 'recall', text: MATCHING, values: [...whose, question] });
      return found.rows.length > 0 ? found.rows : (await client.query<RecalledRow>(NEWEST, whose)).rows;
    });
    const items = rows.map((row) => ({
      memoryId: row.memory_id,
      agent: row.agent,
      user: row.end_user,
      text: row.text,
      rememberedAt: row.remembered_at.toISOString(),
    }));
    return { ok: true, value: { items } };
  }

  /** All of a tenant's memories, newest first. */
  @Query(memories)
  async memories(input: InputOf<typeof memories>, context: TenantContext): Promise<ResultOf<typeof memories>> {
    const forbidden = unlessTenant(context);
    if (forbidden) return forbidden;
    const after = input.cursor === undefined ? null : cursorOf(input.cursor);
    if (input.cursor !== undefined && !after) return refuse('invalid_input', 'the cursor is not one of ours');
    const { rememberedAt, memoryId } = after ?? {};
    const rows = await this.views.of(context.tenant).find(
      MemoryRow,
      {
        tenantId: context.tenant,
        ...(input.agent !== undefined && { agent: input.agent }),
        ...(input.user !== undefined && { endUser: input.user }),
        ...(rememberedAt && {
          $or: [{ rememberedAt: { $lt: rememberedAt } }, { rememberedAt, memoryId: { $lt: memoryId } }],
        }),
      },
      { orderBy: [{ rememberedAt: 'desc' }, { memoryId: 'desc' }], limit: input.limit + 1 },
    );
    const page = rows.slice(0, input.limit);
    const last = rows.length > page.length ? page.at(-1) : undefined;
    const items = page.map((row): MemoryView => ({
      memoryId: row.memoryId,
      agent: row.agent,
      user: row.endUser ?? null,
      text: row.text,
      rememberedAt: row.rememberedAt.toISOString(),
    }));
    const nextCursor = last ? encodeCursor([last.rememberedAt.toISOString(), last.memoryId]) : null;
    return { ok: true, value: { items, nextCursor } };
  }

  @Query(hasMemories)
  async hasMemories(input: InputOf<typeof hasMemories>, context: TenantContext): Promise<ResultOf<typeof hasMemories>> {
    const forbidden = unlessTenant(context);
    if (forbidden) return forbidden;
    const any = await inTenants(this.database, [context.tenant], async (client) => {
      const { rows } = await client.query<{ any: boolean }>({
        name: 'has-memories',
        text: `select exists (select from view.memories where ${VISIBLE}) as any`,
        values: [context.tenant, input.agent, input.user],
      });
      return rows[0]?.any === true;
    });
    return { ok: true, value: { any } };
  }
}

/** Their own and the shared ones; without a user, the shared ones alone. */
const VISIBLE = `tenant_id = $1 and agent = $2 and (end_user = $3::text or end_user is null)`;
const COLUMNS = `memory_id, agent, end_user, text, remembered_at`;
const MATCHING = `
  select ${COLUMNS} from view.memories
  where ${VISIBLE} and lexemes @@ $5::text::tsquery
  order by ts_rank(lexemes, $5::text::tsquery) desc, remembered_at desc, memory_id desc limit $4`;
const NEWEST = `
  select ${COLUMNS} from view.memories where ${VISIBLE}
  order by remembered_at desc, memory_id desc limit $4`;

/** `'ada' | 'likes'`: quoted, and of letters and digits alone, so no word can be an operator. */
function tsqueryOf(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' | ');
}

function cursorOf(cursor: string): { rememberedAt: Date; memoryId: string } | null {
  const [rememberedAt, memoryId, ...rest] = decodeCursor(cursor) ?? [];
  if (typeof rememberedAt !== 'string' || typeof memoryId !== 'string' || rest.length > 0) return null;
  const date = new Date(rememberedAt);
  const good = !Number.isNaN(date.getTime()) && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(memoryId);
  return good ? { rememberedAt: date, memoryId } : null;
}
