import type { EventOf, InputOf, memory } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

/** What one agent may remember about one user, or for everybody. */
export const MEMORIES_MAX = 5_000;
/** Every question is compared with all that is remembered, so the sum of its length is bounded too. */
export const CHARACTERS_MAX = 1_000_000;

export type MemoryEvent = EventOf<typeof memory, 'Remembered' | 'Forgotten'>;

/** Texts are not kept here: a hash tells whether one is remembered already, and the rows hold the words. */
export interface Memory {
  readonly memoryId: string;
  readonly textHash: string;
  readonly characters: number;
  readonly rememberedAt: string;
}

/** All that one agent remembers about one user, or, without a user, for everybody. */
export interface Memories {
  /** Oldest first. A list, because a copy of 5,000 references takes microseconds and a copy of as many keys does not. */
  readonly items: readonly Memory[];
}

export type MemoriesCommand =
  | { readonly type: 'remember'; readonly data: InputOf<typeof memory.commands.remember> & Omit<Memory, 'characters'> }
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
        if (!hasRoomFor(command.data.text, state)) {
          const limits = { memoriesMax: MEMORIES_MAX, charactersMax: CHARACTERS_MAX };
          return refuse('too_many_memories', 'there is no room for this fact; forget another first', limits);
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
        const { memoryId, text, textHash, rememberedAt } = event.data;
        return { items: [...state.items, { memoryId, textHash, characters: text.length, rememberedAt }] };
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

function hasRoomFor(text: string, { items }: Memories): boolean {
  const characters = items.reduce((sum, item) => sum + item.characters, text.length);
  return items.length < MEMORIES_MAX && characters <= CHARACTERS_MAX;
}
