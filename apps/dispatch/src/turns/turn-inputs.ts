import { Injectable } from '@nestjs/common';
import { newId, type OnBehalfOf } from '@reef/messaging';
import { boundInputTokens } from '../engines/bound.js';
import type { ChatMessage, TurnInput } from '../engines/engine.js';
import { MODEL_CALLS_MAX } from '../engines/native-engine.js';
import { buildPrompt } from '../engines/prompt.js';
import { nativeTools } from '../engines/tools.js';
import { type AcceptedTurn, OUTPUT_TOKENS_DEFAULT } from './accepted-turn.js';
import { Surroundings } from './surroundings.js';
import { TurnContexts } from './turn-contexts.js';

/** Makes what an engine is given: the prompt from files and memories, and the reservation of its first call. */
@Injectable()
export class TurnInputs {
  constructor(
    private readonly contexts: TurnContexts,
    private readonly surroundings: Surroundings,
  ) {}

  onBehalfOf(turn: Pick<AcceptedTurn, 'context'>): OnBehalfOf {
    return this.contexts.onBehalfOf(turn.context);
  }

  /** @returns null where the agent's files could not be read. What it reserved is the engine's to settle, or goes to `giveBack`. */
  async make(accepted: AcceptedTurn, history: readonly ChatMessage[]): Promise<TurnInput | null> {
    const { input, agent, host, context } = accepted;
    const onBehalfOf = this.onBehalfOf(accepted);
    const [files, memories] = await Promise.all([
      this.surroundings.filesOf(onBehalfOf, agent.agent, input.user),
      this.surroundings.recall(onBehalfOf, agent.agent, input.user, input.message),
    ]);
    if (!files) return null;
    const system = buildPrompt({
      agent: { id: agent.agent, name: agent.name, instructions: agent.instructions },
      ...files,
      isPrivate: input.user !== null,
      memories,
      requestInstructions: input.instructions,
      now: new Date(),
      timeZone: 'UTC',
      channel: input.source === 'chat' ? 'http' : input.source,
      model: agent.model,
    });
    const outputTokensMax = input.outputTokensMax ?? OUTPUT_TOKENS_DEFAULT;
    const callId = newId();
    const inputTokensMax = boundInputTokens(system, history, input.message, nativeTools);
    const answer = host.reserve({ callId, model: agent.model, inputTokensMax, outputTokensMax });
    answer.catch(() => undefined); // Looked at by the engine, or when it is given back.
    return {
      tenant: context.tenant,
      turnId: input.turnId,
      agent: agent.agent,
      model: agent.model,
      system,
      history,
      message: input.message,
      tools: nativeTools,
      outputTokensMax,
      modelCallsMax: MODEL_CALLS_MAX,
      signal: accepted.abort.signal,
      deadlineMs: accepted.deadlineMs,
      firstReservation: { callId, answer },
    };
  }

  /** Frees what was reserved for a first call that is not made now. */
  async giveBack({ host }: AcceptedTurn, made: Promise<TurnInput | null>): Promise<void> {
    const reservation = (await made)?.firstReservation;
    if (reservation && (await reservation.answer).ok) await host.giveBack(reservation.callId);
  }
}
