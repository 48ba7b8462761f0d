import type { EventOf, InputOf, memory } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

/** What one agent may remember about one user, or for everybody. */
export const MEMORIES_MAX = 5_000;

export type MemoryEvent = EventOf<typeof memory, 'Remembered' | 'Forgotten'>;

/** Texts are not kept here: a hash tells whether one is remembered already, and the rows hold the words. */
export interface Memory {
  readonly memoryId: string;
  readonly textHash: string;
  readonly rememberedAt: string;
}

/** All that one agent remembers about one user, or, without a user, for everybody. */
export interface Memories {
  /** Oldest first. A list, because a copy of 5,000 references takes microseconds and a copy of as many keys does not. */
  readonly items: readonly Memory[];
}

export type MemoriesCommand =
  | { readonly type: 'remember'; readonly data: InputOf<typeof memory.commands.remember> & Memory }
  | { readonly type: 'forget'; readonly data: { readonly memoryId: string; readonly forgottenAt: string } };

export const memoriesDecider: Decider<
  Memories,
  MemoriesCommand,
  MemoryEvent,
  'too_many_memories' | 'memory_not_found'
> = {
  initial: { items: [] },
  decide(command, state) {
    switch (command.type) {
      case 'remember':
        if (remembered(state, command.data.textHash)) return [];
        if (state.items.length >= MEMORIES_MAX) {
          return refuse('too_many_memories', `an agent remembers ${MEMORIES_MAX} facts about one user at most`, {
            memoriesMax: MEMORIES_MAX,
          });
        }
        return [{ type: 'Remembered', data: command.data }];
      case 'forget':
        if (!state.items.some(({ memoryId }) => memoryId === command.data.memoryId)) {
          return refuse('memory_not_found', 'there is no such memory');
        }
        return [{ type: 'Forgotten', data: command.data }];
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'Remembered': {
        const { memoryId, textHash, rememberedAt } = event.data;
        return { items: [...state.items, { memoryId, textHash, rememberedAt }] };
      }
      case 'Forgotten':
        return { items: state.items.filter(({ memoryId }) => memoryId !== event.data.memoryId) };
      default:
        return unreachable(event);
    }
  },
};

/** The memory that holds this text already. */
export function remembered(state: Memories, textHash: string): Memory | undefined {
  return state.items.find((item) => item.textHash === textHash);
}
