import type { dispatch, InputOf, TenantContext } from '@reef/contracts';
import type { PermitRequest } from '../lanes/permit.js';
import { weightedTokens } from '../lanes/weighted-tokens.js';
import type { Priority } from '../domain/fair-queue.js';
import type { KnownAgent } from './known-agents.js';
import type { LanedTurnHost } from './laned-turn-host.js';
import type { LiveStream } from './live-stream.js';
import type { TurnSlot } from './turn-slots.js';

export type StartTurn = InputOf<typeof dispatch.commands.startTurn>;

/** How long a turn may take from its request to its end. */
export const TURN_TIMEOUT_MS = 10 * 60_000;
/** Output of one model call where the request names no limit, tokens. */
export const OUTPUT_TOKENS_DEFAULT = 4_096;
/** What a lane is told of a prompt before its files are read, tokens; it is put right when the turn has ended. */
const PROMPT_TOKENS_GUESS = 4_000;

/** A turn in the hands of this process. */
export interface AcceptedTurn {
  readonly input: StartTurn;
  readonly context: TenantContext;
  readonly agent: KnownAgent;
  readonly session: string;
  readonly host: LanedTurnHost;
  readonly live: LiveStream;
  readonly slot: TurnSlot;
  readonly abort: AbortController;
  /** Absolute, ms since 1970. */
  readonly deadlineMs: number;
}

const PRIORITIES: Readonly<Record<StartTurn['source'], Priority>> = { chat: 0, agent: 1, schedule: 2, heartbeat: 2 };

/** What the turn asks of its model's lane: the first call's bound, as far as it is known. */
export function permitRequestOf(input: StartTurn, tenant: string, agent: KnownAgent, weight: number): PermitRequest {
  const said = input.history.reduce((sum, { content }) => sum + content.length, input.message.length);
  return {
    lane: agent.model,
    tenant,
    agent: agent.agent,
    priority: PRIORITIES[input.source],
    weight,
    cost: weightedTokens(PROMPT_TOKENS_GUESS + said, input.outputTokensMax ?? OUTPUT_TOKENS_DEFAULT),
  };
}
