import { defineEntity } from '@mikro-orm/core';
import type { Projection } from '@reef/eventing/pure';
import type { Memories, MemoryEvent } from '../domain/memories.js';
import { wordsOf } from '../domain/words.js';

/** A memory of 4,000 characters has 2,000 words at most. */
const WORDS_MAX = 2_000;

export const MemoryRow = defineEntity({
  name: 'MemoryRow',
  tableName: 'memories',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    memoryId: p.uuid().primary(),
    agent: p.string(),
    endUser: p.string().nullable(),
    text: p.text(),
    rememberedAt: p.datetime(),
  }),
});

/** The one place where the text is readable, so that it can be searched; forgetting deletes the row. */
export const memoriesProjection: Projection<Memories, MemoryEvent> = {
  table: 'memories',
  key: ['memory_id'],
  rows: ({ events }) =>
    events.map((event) => {
      const { memoryId } = event.data;
      if (event.type === 'Forgotten') return { delete: { memory_id: memoryId } };
      const { agent, user, text, rememberedAt } = event.data;
      return {
        upsert: {
          memory_id: memoryId,
          agent,
          end_user: user,
          text,
          words: wordsOf(text, WORDS_MAX).join(' '),
          remembered_at: rememberedAt,
        },
      };
    }),
};
