import type { AgentEvent, AgentProfile } from '../src/domain/agent.js';
import type { SessionCommand, SessionEvent } from '../src/domain/session.js';

// What the specs of this folder have in common; ids and other noise stay out of them.

type DataOf<Type extends SessionEvent['type']> = Extract<SessionEvent, { type: Type }>['data'];
type EndOf<Status extends string> = Extract<
  Extract<SessionCommand, { type: 'endTurn' }>['data']['end'],
  { status: Status }
>;

export const NOON = '2026-11-22T12:00:00.000Z';
export const SESSION = 'agent:main:desk';

/** The id of the turn, call, … of this name. */
export const idOf = (name: string | number) =>
  `00000000-0000-4000-8000-${Buffer.from(String(name)).toString('hex').slice(0, 12).padStart(12, '0')}`;

export const usageOf = (inputTokens: number, outputTokens: number) => ({
  inputTokens,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens,
  reasoningTokens: 0,
});

type Request = Extract<SessionCommand, { type: 'requestTurn' }>['data'];
type Work = Pick<DataOf<'TurnWorked'>, 'calls' | 'tools'>;
const NOTHING: Work = { calls: [], tools: [] };

const requestData = (name: string | number, change: Partial<Request> = {}): Request => ({
  turnId: idOf(name),
  agent: 'main',
  session: SESSION,
  user: 'ada',
  message: `message ${name}`,
  model: 'simulator/sim-echo',
  source: 'chat' as const,
  keyId: null,
  worker: 'worker-1',
  requestedAt: NOON,
  ...change,
});

export const request = (name: string | number, change?: Partial<Request>): SessionCommand => ({
  type: 'requestTurn',
  data: requestData(name, change),
});
export const begin = (name: string | number, worker = 'worker-1'): SessionCommand => ({
  type: 'beginTurn',
  data: { turnId: idOf(name), worker, startedAt: NOON },
});
type EndTurn = Extract<SessionCommand, { type: 'endTurn' }>;
const end = (name: string | number, how: EndTurn['data']['end']): EndTurn => ({
  type: 'endTurn',
  data: { turnId: idOf(name), calls: [], tools: [], end: how },
});
/** The same end, with what was done for the turn. */
export const having = ({ calls, tools }: Work, { type, data }: EndTurn): EndTurn => {
  const { turnId } = data;
  const ofTurn = <Done>(done: Done) => ({ ...done, turnId });
  return { type, data: { ...data, calls: calls.map(ofTurn), tools: tools.map(ofTurn) } };
};
export const complete = (name: string | number, change: Partial<EndOf<'completed'>> = {}) =>
  end(name, { status: 'completed', reply: `reply ${name}`, usage: usageOf(10, 5), at: NOON, ...change });
export const fail = (name: string | number, code = 'provider_error') =>
  end(name, { status: 'failed', code, message: 'it did not work', at: NOON });
export const endCancelled = (name: string | number) => end(name, { status: 'cancelled', at: NOON });
export const cancel = (name: string | number): SessionCommand => ({
  type: 'cancelTurn',
  data: { turnId: idOf(name), cancelledAt: NOON },
});
export const interrupt = (name: string | number, worker = 'worker-1'): SessionCommand => ({
  type: 'interruptTurn',
  data: { turnId: idOf(name), worker, at: NOON },
});

/** A request that has to wait for its session. */
export const requested = (name: string | number, change?: Partial<Request>): SessionEvent => ({
  type: 'TurnRequested',
  data: { ...requestData(name, change), startsNow: false },
});
/** A request whose turn runs at once. */
export const begun = (name: string | number, change?: Partial<Request>): SessionEvent => ({
  type: 'TurnRequested',
  data: { ...requestData(name, change), startsNow: true },
});
export const started = (name: string | number, worker = 'worker-1'): SessionEvent => ({
  type: 'TurnStarted',
  data: { turnId: idOf(name), worker, startedAt: NOON },
});
/** One model call and one tool. */
export const workOf = (name: string | number): Work => ({
  calls: [
    {
      callId: idOf(`c${name}`),
      model: 'simulator/sim-echo',
      outcome: 'completed',
      usage: usageOf(10, 5),
      finishReason: 'stop',
      calledAt: NOON,
      durationMs: 12,
    },
  ],
  tools: [{ toolCallId: '1.1', name: 'read_file', failed: false, calledAt: NOON, durationMs: 3 }],
});
export const worked = (name: string | number, work: Work = workOf(name)): SessionEvent => ({
  type: 'TurnWorked',
  data: { turnId: idOf(name), ...work },
});
export const completed = (name: string | number, change: Partial<DataOf<'TurnCompleted'>> = {}): SessionEvent => ({
  type: 'TurnCompleted',
  data: { turnId: idOf(name), reply: `reply ${name}`, usage: usageOf(10, 5), completedAt: NOON, ...NOTHING, ...change },
});
export const failed = (name: string | number, code = 'provider_error', work: Work = NOTHING): SessionEvent => ({
  type: 'TurnFailed',
  data: { turnId: idOf(name), code, message: 'it did not work', failedAt: NOON, ...work },
});
export const interrupted = (name: string | number): SessionEvent => ({
  type: 'TurnFailed',
  data: {
    turnId: idOf(name),
    code: 'interrupted',
    message: 'the process that ran the turn ended',
    failedAt: NOON,
    ...NOTHING,
  },
});
export const cancelled = (name: string | number, work: Work = NOTHING): SessionEvent => ({
  type: 'TurnCancelled',
  data: { turnId: idOf(name), cancelledAt: NOON, ...work },
});

export const profile = (change: Partial<AgentProfile> = {}): AgentProfile => ({
  agent: 'robin',
  name: 'Robin',
  model: 'simulator/sim-echo',
  instructions: 'Be brief.',
  createdAt: NOON,
  ...change,
});
export const created = (change: Partial<AgentProfile> = {}): AgentEvent => ({
  type: 'AgentCreated',
  data: profile(change),
});
