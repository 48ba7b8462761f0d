import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  budgets,
  dispatch,
  identity,
  type InputOf,
  memory,
  memoryChanged,
  type OutputOf,
  type Request,
  workspace,
  workspaceChanged,
} from '@reef/contracts';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@reef/messaging';
import { startService as startInstance } from '@reef/service';
import { eventually, type Speaker, startService, type TestService } from '@reef/testing';
import { definition, DispatchModule } from '../src/dispatch.module.js';
import { OPEN_TURNS_MAX } from '../src/domain/session.js';
import { type Heard, Listener } from './listener.js';
import { memoryOf, Neighbours } from './neighbours.js';
import { type Simulator, startApp, startSimulator } from './processes.js';

const { commands, queries, events } = dispatch;
const { reserve, settle, release } = budgets.commands;
const { promptContext } = workspace.queries;
type StartTurn = InputOf<typeof commands.startTurn>;

let simulator: Simulator;
let service: TestService;
let neighbours: Neighbours;
let edge: Listener;

beforeAll(async () => {
  simulator = await startSimulator();
  service = await startService(definition, DispatchModule, { env: { SIMULATOR_URL: simulator.url } });
  neighbours = new Neighbours(service.nats, process.env['CONTEXT_JWKS_FILE'] ?? '');
  edge = new Listener(service.nats, 'edge1');
}, 90_000);
afterAll(async () => {
  expect(await service.replayCheck()).toEqual([]);
  await service[Symbol.asyncDispose]();
  await simulator[Symbol.asyncDispose]();
}, 60_000);

/** A tenant with its agent `main`, which echoes, and `scripted`, which does as each message says. */
async function opened(): Promise<string> {
  const tenant = service.tenant();
  await must(commands.openTenant, tenant, {});
  await must(commands.createAgent, tenant, { agent: 'scripted', model: 'simulator/sim-script' });
  return tenant;
}

async function must<Message extends Request>(message: Message, tenant: string, input: InputOf<Message>) {
  const result = await service.send(message, tenant, input);
  if (!result.ok) throw new Error(`${message.name}: ${result.code} ${result.message}`);
  return result.value as OutputOf<Message>;
}

const turnOf = (message: string, change: Partial<StartTurn> = {}): StartTurn => ({
  turnId: newId(),
  agent: 'main',
  session: null,
  user: null,
  message,
  history: [],
  instructions: null,
  source: 'chat',
  keyId: null,
  outputTokensMax: null,
  edgeId: edge.edgeId,
  ...change,
});
const scriptOf = (...steps: object[]) => JSON.stringify(steps);
/** A turn that talks for about ten seconds. */
const LONG = scriptOf({ tokens: 500, tokensPerSecond: 50 });

/** Starts a turn that must be accepted. */
async function start(tenant: string, message: string, change: Partial<StartTurn> = {}): Promise<StartTurn> {
  const input = turnOf(message, change);
  await must(commands.startTurn, tenant, input);
  return input;
}

async function say(tenant: string, message: string, change: Partial<StartTurn> = {}): Promise<Heard> {
  const { turnId } = await start(tenant, message, change);
  return edge.heard(turnId);
}

const viewOf = (tenant: string, turnId: string) => must(queries.turn, tenant, { turnId });
const typesOf = async (tenant: string, session?: string) =>
  (await service.eventsOf(tenant))
    .filter(({ stream }) => stream.startsWith(`session/${session ?? ''}`))
    .map(({ type }) => type);

describe('a turn', () => {
  test('is accepted, streams its answer and ends; its call is reserved before and settled once', async () => {
    const tenant = await opened();
    const input = turnOf('Good morning', { user: 'ada', session: 'desk', keyId: 'key1', source: 'agent' });
    expect(await service.send(commands.startTurn, tenant, input)).toEqual({
      ok: true,
      value: { turnId: input.turnId, agent: 'main', session: 'agent:main:desk', model: 'simulator/sim-echo' },
    });
    const { frames, text, end } = await edge.heard(input.turnId);
    expect(text).toContain('You said: "Good morning".');
    expect(frames.map(({ seq }) => seq)).toEqual(frames.map((_, index) => index));
    expect(frames.at(-1)).toBe(end);
    expect(end).toMatchObject({ status: 'completed', finishReason: 'stop', failure: null });

    const [reserved, ...moreReserved] = neighbours.asked(reserve, tenant);
    const [settled, ...moreSettled] = neighbours.asked(settle, tenant);
    expect([...moreReserved, ...moreSettled, ...neighbours.asked(release, tenant)]).toEqual([]);
    expect(reserved?.input).toMatchObject({
      attribution: {
        turnId: input.turnId,
        agent: 'main',
        user: 'ada',
        session: 'agent:main:desk',
        keyId: 'key1',
        model: 'simulator/sim-echo',
        source: 'agent',
      },
      outputTokensMax: 4_096,
      firstOfTurn: true,
    });
    expect(settled?.input).toMatchObject({
      reservationId: reserved?.input.reservationId,
      window: '2026-11',
      outcome: 'completed',
      usage: end.usage,
    });
    expect(reserved?.input.inputTokensMax).toBeGreaterThanOrEqual(end.usage?.inputTokens ?? Infinity);
    // What is asked for outlives the request, so dispatch vouches for it anew, in the name of the same person.
    for (const asked of [reserved, settled])
      expect(asked?.claims).toMatchObject({ iss: 'dispatch', tenant, principal: { id: 'test' }, role: 'owner' });

    expect(await viewOf(tenant, input.turnId)).toMatchObject({
      status: 'completed',
      message: 'Good morning',
      reply: text,
      failure: null,
      usage: end.usage,
      user: 'ada',
    });
    expect(await typesOf(tenant)).toEqual(['TurnRequested', 'TurnCompleted']);
  });

  test('takes its prompt from files and memories, its limit from the request, and is clamped to what was granted', async () => {
    const tenant = await opened();
    neighbours.answer(promptContext, tenant, () => ({
      ok: true,
      value: {
        files: [{ path: 'IDENTITY.md', text: '- **Name:** Robin', bytes: 17 }],
        skills: [],
        isNew: false,
      },
    }));
    neighbours.answer(memory.queries.recall, tenant, () => ({
      ok: true,
      value: { items: [memoryOf("The user's name is Grace", { user: 'grace' })] },
    }));
    expect((await say(tenant, 'Hello', { user: 'grace' })).text).toMatch(/Hello Grace.*I am Robin/);

    neighbours.answer(reserve, tenant, ({ outputTokensMax }) => ({
      ok: true,
      value: {
        outputTokensMax: outputTokensMax / 10,
        heldPico: 1n,
        window: '2026-11',
        pressure: { utilisation: 0.99, step: 'interactive_only' },
        rates: [],
        weight: 1,
      },
    }));
    const clamped = await say(tenant, scriptOf({ tokens: 200 }), { agent: 'scripted', outputTokensMax: 1_000 });
    expect(clamped.end).toMatchObject({ status: 'completed', finishReason: 'length', usage: { outputTokens: 100 } });
    expect(neighbours.asked(reserve, tenant).at(-1)?.input.outputTokensMax).toBe(1_000);
  });

  test("asks for an agent's files once, until the workspace says that they changed, and so with memories", async () => {
    const tenant = await opened();
    const count = () => [
      neighbours.asked(promptContext, tenant).length,
      neighbours.asked(memory.queries.recall, tenant).length,
    ];
    for (const _ of [1, 2]) await say(tenant, 'Hello');
    expect(count()).toEqual([1, 1]);
    await say(tenant, 'Hello', { user: 'ada' }); // Another user may see other files.
    expect(count()).toEqual([2, 2]);
    service.nats.publish(workspaceChanged.subject(tenant));
    service.nats.publish(memoryChanged.subject(tenant));
    await say(tenant, 'Hello');
    expect(count()).toEqual([3, 3]);
  });

  test('runs the tools that the model asks for, in its name, and each model call is reserved', async () => {
    const tenant = await opened();
    neighbours.answer(workspace.commands.runTool, tenant, ({ argumentsJson }) => ({
      ok: true,
      value: { content: `contents of ${String((JSON.parse(argumentsJson) as { path: string }).path)}`, isError: false },
    }));
    const { frames, text, end } = await say(tenant, 'read file notes.md', { user: 'ada' });
    expect(text).toContain('contents of notes.md');
    expect(end.status).toBe('completed');
    expect(frames.filter(({ type }) => type === 'tool')).toMatchObject([
      { name: 'read_file', state: 'called' },
      { name: 'read_file', state: 'done' },
    ]);
    const [tool] = neighbours.asked(workspace.commands.runTool, tenant);
    expect(tool).toMatchObject({ input: { agent: 'main', user: 'ada', name: 'read_file' }, claims: { tenant } });
    expect(neighbours.asked(reserve, tenant).map(({ input }) => input.firstOfTurn)).toEqual([true, false]);
    expect(neighbours.unbalanced(tenant)).toEqual([]);
    const ended = (await service.eventsOf(tenant)).find(({ type }) => type === 'TurnCompleted');
    expect(ended?.data).toMatchObject({ calls: [{ outcome: 'completed' }, {}], tools: [{ name: 'read_file' }] });
  });

  test('remembers and searches for its own user and agent only', async () => {
    const tenant = await opened();
    await say(tenant, 'Please remember that I like tea', { user: 'ada' });
    expect(neighbours.asked(memory.commands.remember, tenant).map(({ input }) => input)).toMatchObject([
      { agent: 'main', user: 'ada', text: 'I like tea' },
    ]);
    neighbours.answer(memory.queries.recall, tenant, () => ({
      ok: true,
      value: { items: [memoryOf('Ada likes tea', { user: 'ada' })] },
    }));
    expect((await say(tenant, 'search your memory for tea', { user: 'ada' })).text).toContain('- Ada likes tea');
    expect(neighbours.asked(memory.queries.recall, tenant).at(-1)?.input).toMatchObject({ agent: 'main', user: 'ada' });
  });

  test('answers the model, and goes on, where a tool is refused or its arguments are nonsense', async () => {
    const tenant = await opened();
    neighbours.answer(workspace.commands.runTool, tenant, () => ({
      ok: false,
      code: 'tool_unknown',
      message: 'this path is not yours',
    }));
    const { frames, end, text } = await say(
      tenant,
      scriptOf(
        {
          toolCalls: [
            { name: 'write_file', arguments: { path: '../x', content: '' } },
            { name: 'launch', arguments: {} },
            { name: 'remember', arguments: { text: '' } },
            { name: 'memory_search', arguments: '{"query":' },
          ],
        },
        { text: 'All the same.' },
      ),
      { agent: 'scripted' },
    );
    expect(end.status).toBe('completed');
    expect(text).toBe('All the same.');
    expect(frames.filter((frame) => frame.type === 'tool' && frame.state === 'failed')).toMatchObject([
      { name: 'write_file' },
      { name: 'remember' },
    ]);
    expect(neighbours.asked(memory.commands.remember, tenant)).toEqual([]);
  });

  test('that is asked for twice under one command id runs once, and both are told the same', async () => {
    const tenant = await opened();
    const input = turnOf('Hello', { session: 'desk' });
    const speaker: Speaker = { commandId: newId() };
    const together = await Promise.all([1, 2].map(() => service.send(commands.startTurn, tenant, input, speaker)));
    await edge.heard(input.turnId);
    const later = await service.send(commands.startTurn, tenant, input, speaker);
    expect([...together, later].map((result) => result.ok && result.value.turnId)).toEqual(
      Array.from({ length: 3 }, () => input.turnId),
    );
    await eventually(
      async () => neighbours.unbalanced(tenant),
      ({ length }) => length === 0,
    );
    expect(neighbours.asked(settle, tenant)).toHaveLength(1);
    expect(edge.framesOf(input.turnId).filter(({ type }) => type === 'end')).toHaveLength(1);
    expect(await typesOf(tenant)).toEqual(['TurnRequested', 'TurnCompleted']);
  });

  test('whose id is taken is refused, in a session that lasts and in one that does not', async () => {
    const tenant = await opened();
    for (const session of ['desk', null]) {
      const input = await start(tenant, 'Hello', { session });
      expect(await service.send(commands.startTurn, tenant, input)).toMatchObject({ ok: false, code: 'turn_reused' });
      expect(await service.send(commands.startTurn, tenant, { ...input, message: 'Other' })).toMatchObject({
        code: 'turn_reused',
      });
      await edge.heard(input.turnId);
    }
    await eventually(
      async () => neighbours.unbalanced(tenant),
      ({ length }) => length === 0,
    );
  });
});

describe('a turn that fails', () => {
  test('for its budget says which limit it met; nothing was called and nothing is settled', async () => {
    const tenant = await opened();
    const details = { scope: 'tenant', unit: 'usd', cap: '5', left: '0', windowEndsAt: null };
    neighbours.answer(reserve, tenant, () => ({ ok: false, code: 'budget_exhausted', message: 'spent', details }));
    const { turnId } = await start(tenant, 'Hello');
    const { end, text } = await edge.heard(turnId);
    expect(text).toBe('');
    expect(end).toMatchObject({ status: 'failed', failure: { code: 'budget_exhausted', details }, usage: null });
    expect([...neighbours.asked(settle, tenant), ...neighbours.asked(release, tenant)]).toEqual([]);
    expect(await viewOf(tenant, turnId)).toMatchObject({ status: 'failed', failure: { code: 'budget_exhausted' } });
    expect(await typesOf(tenant)).toEqual(['TurnRequested', 'TurnFailed']);
  });

  test('because the provider turned it away frees its reservation and costs nothing', async () => {
    const tenant = await opened();
    const { end } = await say(tenant, scriptOf({ error: { status: 400 } }), { agent: 'scripted' });
    expect(end).toMatchObject({ status: 'failed', failure: { code: 'provider_error', details: { status: 400 } } });
    expect(neighbours.asked(settle, tenant)).toEqual([]);
    expect(neighbours.asked(release, tenant)).toHaveLength(1);
    expect(neighbours.unbalanced(tenant)).toEqual([]);
  });

  test('in the middle of its answer is settled without usage, by what was seen', async () => {
    const tenant = await opened();
    const { end } = await say(tenant, scriptOf({ tokens: 100, dropAfterChunks: 3 }), { agent: 'scripted' });
    expect(end).toMatchObject({ status: 'failed', failure: { code: 'provider_stream_broken' }, usage: null });
    const [settled] = neighbours.asked(settle, tenant);
    expect(settled?.input).toMatchObject({ outcome: 'failed', usage: null });
    expect(settled?.input.outputTokensSeen).toBeGreaterThan(0);
    expect(neighbours.unbalanced(tenant)).toEqual([]);
  });

  test('ends in bounded time where workspace or budgets do not answer, and goes on where memory does not', async () => {
    const [noFiles, noBudget, noMemory] = await Promise.all([opened(), opened(), opened()]);
    neighbours.answer(promptContext, noFiles, null);
    neighbours.answer(reserve, noBudget, null);
    neighbours.answer(memory.queries.recall, noMemory, null);
    const startedMs = Date.now();
    const [withoutFiles, withoutBudget, withoutMemory] = await Promise.all(
      [noFiles, noBudget, noMemory].map((tenant) => say(tenant, 'Hello')),
    );
    expect(withoutFiles?.end.failure?.code).toBe('workspace_unavailable');
    expect(neighbours.asked(reserve, noFiles)).toEqual([]);
    expect(withoutBudget?.end.failure?.code).toBe('deadline_exceeded');
    expect(withoutMemory?.end.status).toBe('completed');
    expect(Date.now() - startedMs).toBeLessThan(15_000);
  }, 30_000);
});

describe('a database that fails', () => {
  /** From now on no event of this type is written for this tenant. */
  async function refuseEvents(tenant: string, type: string) {
    const name = `fault_${type}_${tenant.replaceAll('-', '_')}`;
    await service.owner.query(`
      create function es.${name}() returns trigger language plpgsql as $$ begin raise 'the disk is full'; end $$;
      create trigger ${name} before insert on es.event for each row
        when (new.tenant_id = '${tenant}' and new.type = '${type}') execute function es.${name}()`);
    return () => service.owner.query(`drop trigger ${name} on es.event; drop function es.${name}()`);
  }

  test('at the request of a turn leaves neither a reservation nor a voice behind', async () => {
    const tenant = await opened();
    const repair = await refuseEvents(tenant, 'TurnRequested');
    const input = turnOf('Hello');
    expect(await service.send(commands.startTurn, tenant, input)).toMatchObject({ ok: false, code: 'internal' });
    await eventually(
      async () => neighbours.asked(release, tenant),
      ({ length }) => length === 1,
    );
    expect(edge.framesOf(input.turnId)).toEqual([]);
    await repair();
    expect((await say(tenant, 'Hello')).end.status).toBe('completed');
    expect(neighbours.unbalanced(tenant)).toEqual([]);
  });

  test('at the end of a turn is told to whoever listens, and the books are right', async () => {
    const tenant = await opened();
    const repair = await refuseEvents(tenant, 'TurnCompleted');
    const { end } = await say(tenant, 'Hello');
    expect(end).toMatchObject({ status: 'failed', failure: { code: 'internal' } });
    expect(neighbours.asked(settle, tenant)).toHaveLength(1);
    await repair();
  });
});

describe('a session', () => {
  test('knows what was said in it, and a stateless request knows only what it brings along', async () => {
    const tenant = await opened();
    const desk = { session: 'desk', user: 'ada' };
    await say(tenant, 'My name is Ada.', desk);
    expect((await say(tenant, 'What is my name?', desk)).text).toBe('Your name is Ada.');
    expect((await say(tenant, 'What is my name?', { session: 'sofa', user: 'ada' })).text).not.toContain('Ada');

    await say(tenant, 'My name is Bob.');
    expect((await say(tenant, 'What is my name?')).text).not.toContain('Bob');
    const history = [{ role: 'user' as const, content: 'My name is Eve.' }];
    expect((await say(tenant, 'What is my name?', { history })).text).toBe('Your name is Eve.');
    // A lasting session remembers by itself and is told nothing else.
    expect((await say(tenant, 'What is my name?', { ...desk, history })).text).toBe('Your name is Ada.');
  });

  test('leaves a turn that failed out of what the model is told', async () => {
    const tenant = await opened();
    const desk = { session: 'desk', agent: 'main' };
    neighbours.answer(reserve, tenant, () => ({ ok: false, code: 'budget_exhausted', message: 'spent' }));
    await say(tenant, 'My name is Ada.', desk);
    neighbours.answer(reserve, tenant, ({ outputTokensMax }) => ({
      ok: true,
      value: {
        outputTokensMax,
        heldPico: 1n,
        window: '2026-11',
        pressure: { utilisation: 0, step: 'free' },
        rates: [],
        weight: 1,
      },
    }));
    expect((await say(tenant, 'What is my name?', desk)).text).not.toContain('Ada');
  });

  test('runs its turns one after the other in the order they came, and each knows those before it', async () => {
    const tenant = await opened();
    const desk = { session: 'desk', agent: 'scripted' };
    const first = await start(tenant, scriptOf({ delayMs: 400, tokens: 4_000 }), desk);
    const second = await start(tenant, scriptOf({ text: 'second' }), desk);
    const third = await start(tenant, scriptOf({ text: 'third' }), desk);
    expect(await viewOf(tenant, first.turnId)).toMatchObject({ status: 'running' });
    expect(await viewOf(tenant, second.turnId)).toMatchObject({ status: 'queued' });
    const ends = await Promise.all([first, second, third].map(({ turnId }) => edge.heard(turnId)));
    expect(ends.map(({ end }) => end.status)).toEqual(['completed', 'completed', 'completed']);

    const told = (await service.eventsOf(tenant))
      .filter(({ type, data }) => type === 'TurnStarted' || type === 'TurnCompleted' || data['startsNow'] === true)
      .map(
        ({ type, data }) => `${type} ${[first, second, third].findIndex(({ turnId }) => turnId === data['turnId'])}`,
      );
    const begun = (turn: number) => (turn === 0 ? 'TurnRequested 0' : `TurnStarted ${turn}`);
    expect(told).toEqual([0, 1, 2].flatMap((turn) => [begun(turn), `TurnCompleted ${turn}`]));

    // The second turn's prompt holds the first one's 4,000 tokens, which were not there when it was asked for.
    const usage = ends[1]?.end.usage;
    expect(usage?.inputTokens).toBeGreaterThan(4_000);
    const settled = neighbours
      .asked(settle, tenant)
      .find(({ input }) => input.usage?.inputTokens === usage?.inputTokens)?.input;
    const reserved = neighbours
      .asked(reserve, tenant)
      .find(({ input }) => input.reservationId === settled?.reservationId)?.input;
    expect(reserved?.inputTokensMax).toBeGreaterThanOrEqual(usage?.inputTokens ?? Infinity);
    expect(reserved?.firstOfTurn).toBe(true);
    await eventually(
      async () => neighbours.unbalanced(tenant),
      ({ length }) => length === 0,
    );
  });

  test(`lets ${OPEN_TURNS_MAX} turns be open and refuses one more, which costs nothing`, async () => {
    const tenant = await opened();
    const desk = { session: 'desk', agent: 'scripted' };
    const turns = [await start(tenant, LONG, desk)];
    while (turns.length < OPEN_TURNS_MAX) turns.push(await start(tenant, scriptOf({ text: 'next' }), desk));
    expect(await service.send(commands.startTurn, tenant, turnOf('one more', desk))).toMatchObject({
      ok: false,
      code: 'session_queue_full',
      details: { openTurns: OPEN_TURNS_MAX },
    });
    expect((await say(tenant, 'Hello', { session: 'sofa' })).end.status).toBe('completed');
    for (const { turnId } of turns.toReversed()) await must(commands.cancelTurn, tenant, { turnId });
    for (const { turnId } of turns) expect((await edge.heard(turnId)).end.status).toBe('cancelled');
    await eventually(
      async () => neighbours.unbalanced(tenant),
      ({ length }) => length === 0,
    );
  });

  test('has a name of 400 characters at most, and none that the platform keeps for itself', async () => {
    const tenant = await opened();
    const room = 400 - 'agent:main:'.length;
    expect((await say(tenant, 'Hello', { session: 'x'.repeat(room) })).end.status).toBe('completed');
    for (const [session, code] of [
      ['x'.repeat(room + 1), 'invalid_input'],
      ['cron:nightly', 'session_reserved'],
      ['agent:main:cron:nightly', 'session_reserved'],
      ['agent:scripted:desk', 'session_reserved'],
    ] as const)
      expect(await service.send(commands.startTurn, tenant, turnOf('Hello', { session }))).toMatchObject({ code });
    expect(neighbours.asked(reserve, tenant)).toHaveLength(1);
  });
});

describe('a cancelled turn', () => {
  test('stops in the middle of its answer, is settled, and ends once', async () => {
    const tenant = await opened();
    const { turnId } = await start(tenant, LONG, { agent: 'scripted' });
    await edge.speaks(turnId);
    expect(await must(commands.cancelTurn, tenant, { turnId })).toEqual({ status: 'cancelled' });
    const { end, text } = await edge.heard(turnId);
    expect(end).toMatchObject({ status: 'cancelled', finishReason: null, failure: null });
    expect(text.length).toBeLessThan(500 * 4);
    const [settled] = neighbours.asked(settle, tenant);
    expect(settled?.input).toMatchObject({ outcome: 'cancelled', usage: null });
    expect(settled?.input.outputTokensSeen).toBeGreaterThan(0);
    expect(neighbours.unbalanced(tenant)).toEqual([]);
    expect(await must(commands.cancelTurn, tenant, { turnId })).toEqual({ status: 'cancelled' });
    expect(await viewOf(tenant, turnId)).toMatchObject({ status: 'cancelled', reply: null });
    expect((await typesOf(tenant)).filter((type) => /Completed|Failed|Cancelled/.test(type))).toEqual([
      'TurnCancelled',
    ]);
  });

  test('that still waits never runs, gives its reservation back, and lets the next one by', async () => {
    const tenant = await opened();
    const desk = { session: 'desk', agent: 'scripted' };
    const first = await start(tenant, scriptOf({ delayMs: 500, text: 'first' }), desk);
    const waiting = await start(tenant, scriptOf({ text: 'never' }), desk);
    const next = await start(tenant, scriptOf({ text: 'next' }), desk);
    await must(commands.cancelTurn, tenant, { turnId: waiting.turnId });
    expect(await edge.heard(waiting.turnId)).toMatchObject({ text: '', end: { status: 'cancelled' } });
    expect((await edge.heard(first.turnId)).text).toBe('first');
    expect((await edge.heard(next.turnId)).text).toBe('next');
    await eventually(
      async () => neighbours.unbalanced(tenant),
      ({ length }) => length === 0,
    );
    expect(neighbours.asked(settle, tenant)).toHaveLength(2);
  });

  test('that has ended stays as it ended', async () => {
    const tenant = await opened();
    const { turnId } = await start(tenant, 'Hello');
    await edge.heard(turnId);
    expect(await must(commands.cancelTurn, tenant, { turnId })).toEqual({ status: 'completed' });
    expect(await viewOf(tenant, turnId)).toMatchObject({ status: 'completed' });
  });
});

describe('an agent', () => {
  test('comes with a new tenant, whether it is told by an event or asked', async () => {
    const tenant = service.tenant();
    await service.publish(identity.events.TenantCreated, tenant, {
      tenant,
      ownerUserId: newId(),
      createdAt: new Date().toISOString(),
    });
    const found = await eventually(
      () => service.send(queries.agent, tenant, { agent: 'main' }),
      ({ ok }) => ok,
    );
    expect(found).toMatchObject({ value: { model: 'simulator/sim-echo', archived: false } });
    expect(await must(commands.openTenant, tenant, {})).toEqual({ agent: 'main' });
    expect((await service.eventsOf(tenant)).map(({ type }) => type)).toEqual(['AgentCreated']);
  });

  test('that does not exist, or does no longer, runs no turn', async () => {
    const tenant = await opened();
    const refused = { ok: false, code: 'agent_not_found' };
    expect(await service.send(commands.startTurn, tenant, turnOf('Hello', { agent: 'nobody' }))).toMatchObject(refused);
    await must(commands.archiveAgent, tenant, { agent: 'scripted' });
    const archived = turnOf('Hello', { agent: 'scripted' });
    expect(await service.send(commands.startTurn, tenant, archived)).toMatchObject(refused);
    expect(await service.send(queries.agent, tenant, { agent: 'scripted' })).toMatchObject(refused);
    expect(neighbours.asked(reserve, tenant)).toEqual([]);
  });

  test('speaks by its newest model from the next turn on', async () => {
    const tenant = await opened();
    await say(tenant, 'Hello', { agent: 'main' });
    await must(commands.updateAgent, tenant, { agent: 'main', model: 'simulator/sim-script', name: 'Robin' });
    expect((await say(tenant, scriptOf({ text: 'scripted' }))).text).toBe('scripted');
    expect(await must(queries.agent, tenant, { agent: 'main' })).toMatchObject({ name: 'Robin' });
  });

  test('may name only models that somebody offers, and be changed only by an owner or an admin', async () => {
    const tenant = await opened();
    expect(await service.send(commands.createAgent, tenant, { agent: 'a', model: 'nobody/model' })).toMatchObject({
      code: 'model_unknown',
    });
    expect(await service.send(commands.createAgent, tenant, { agent: 'main' })).toMatchObject({ code: 'agent_taken' });
    for (const role of ['member', 'viewer', 'none'] as const) {
      expect(await service.send(commands.createAgent, tenant, { agent: 'a' }, { role })).toMatchObject({
        code: 'forbidden',
      });
      expect(await service.send(commands.updateAgent, tenant, { agent: 'main', name: 'X' }, { role })).toMatchObject({
        code: 'forbidden',
      });
      expect(await service.send(commands.archiveAgent, tenant, { agent: 'scripted' }, { role })).toMatchObject({
        code: 'forbidden',
      });
    }
    expect(await service.send(commands.startTurn, tenant, turnOf('Hello'), { role: 'viewer' })).toMatchObject({
      code: 'forbidden',
    });
    expect(await service.send(commands.archiveAgent, tenant, { agent: 'main' })).toMatchObject({
      code: 'agent_is_default',
    });
  });

  test('can be seen as it was', async () => {
    const tenant = await opened();
    const at = new Date().toISOString();
    await sleep(5); // Both ends are included, to the millisecond.
    await must(commands.updateAgent, tenant, { agent: 'main', instructions: 'Rhyme.' });
    await must(commands.archiveAgent, tenant, { agent: 'scripted' });
    expect((await must(queries.asOf, tenant, { at })).agents).toMatchObject([
      { agent: 'main', instructions: '', archived: false },
      { agent: 'scripted', archived: false },
    ]);
    expect((await must(queries.asOf, tenant, { at: new Date().toISOString() })).agents).toMatchObject([
      { agent: 'main', instructions: 'Rhyme.' },
      { agent: 'scripted', archived: true },
    ]);
  });
});

describe('what is read', () => {
  test('comes in pages: sessions newest first, transcripts from their end, agents by name', async () => {
    const tenant = await opened();
    for (const session of ['one', 'two', 'three']) await say(tenant, `Hello ${session}`, { session, user: 'ada' });
    for (const message of ['second', 'third']) await say(tenant, message, { session: 'one', user: 'ada' });

    const sessions = await must(queries.sessions, tenant, { limit: 2 });
    expect(sessions.items).toMatchObject([
      { session: 'agent:main:one', turns: 3, user: 'ada' },
      { session: 'agent:main:three', turns: 1 },
    ]);
    const rest = await must(queries.sessions, tenant, { limit: 2, cursor: sessions.nextCursor ?? '' });
    expect(rest).toMatchObject({ items: [{ session: 'agent:main:two' }], nextCursor: null });

    const session = 'agent:main:one';
    const newest = await must(queries.transcript, tenant, { session, limit: 2 });
    expect(newest.items.map(({ message }) => message)).toEqual(['second', 'third']);
    const older = await must(queries.transcript, tenant, { session, limit: 2, cursor: newest.nextCursor ?? '' });
    expect(older).toMatchObject({ items: [{ message: 'Hello one' }], nextCursor: null });

    const agents = await must(queries.agents, tenant, { limit: 1 });
    const others = await must(queries.agents, tenant, { limit: 1, cursor: agents.nextCursor ?? '' });
    expect([...agents.items, ...others.items].map(({ agent }) => agent)).toEqual(['main', 'scripted']);
    expect(others.nextCursor).toBeNull();
  });

  test('by a cursor that is not ours is refused, whatever is in it', async () => {
    const tenant = await opened();
    await say(tenant, 'Hello', { session: 'desk' });
    const session = 'agent:main:desk';
    const forged = [[], [1], ['x', 'y'], ['2026-11-22T12:00:00.000Z', 'y', 'z'], { a: 1 }];
    const cursors = ['nonsense', ...forged.map((each) => Buffer.from(JSON.stringify(each)).toString('base64url'))];
    for (const cursor of cursors) {
      for (const result of [
        await service.send(queries.sessions, tenant, { limit: 2, cursor }),
        await service.send(queries.transcript, tenant, { session, limit: 2, cursor }),
      ])
        expect(result).toMatchObject({ ok: false, code: 'invalid_input' });
    }
    const noTurn = Buffer.from(JSON.stringify(['2026-11-22T12:00:00.000Z', 'no uuid'])).toString('base64url');
    expect(await service.send(queries.transcript, tenant, { session, limit: 2, cursor: noTurn })).toMatchObject({
      code: 'invalid_input',
    });
  });

  test("is a tenant's own: another finds no turn, session or agent of it and can cancel nothing", async () => {
    const [tenant, other] = [await opened(), await opened()];
    await must(commands.createAgent, tenant, { agent: 'secret', instructions: 'Be discreet.' });
    const { turnId } = await start(tenant, LONG, { agent: 'scripted', session: 'desk' });
    await edge.speaks(turnId);
    expect(await service.send(queries.turn, other, { turnId })).toMatchObject({ code: 'turn_not_found' });
    expect(await service.send(commands.cancelTurn, other, { turnId })).toMatchObject({ code: 'turn_not_found' });
    expect(await service.send(queries.transcript, other, { session: 'agent:scripted:desk', limit: 5 })).toMatchObject({
      code: 'session_not_found',
    });
    expect(await must(queries.sessions, other, { limit: 5 })).toEqual({ items: [], nextCursor: null });
    expect(await service.send(queries.agent, other, { agent: 'secret' })).toMatchObject({ code: 'agent_not_found' });
    expect(await service.send(commands.startTurn, other, turnOf('Hello', { agent: 'secret' }))).toMatchObject({
      code: 'agent_not_found',
    });
    expect(await viewOf(tenant, turnId)).toMatchObject({ status: 'running' });
    await must(commands.cancelTurn, tenant, { turnId });
    await edge.heard(turnId);
  });

  test('is nowhere in the database as it was said', async () => {
    const tenant = await opened();
    // No hexadecimal number and no key in base64 is ever this by chance.
    const secret = 'the safe opens with xylophone quartz';
    await must(commands.createAgent, tenant, { agent: 'guard', instructions: secret });
    await must(commands.updateAgent, tenant, { agent: 'guard', instructions: `${secret}!` });
    const { text } = await say(tenant, secret, { agent: 'guard', session: 'desk' });
    expect(text).toContain(secret);
    for (const table of ['es.event', 'es.command', 'es.snapshot', 'view.turns', 'view.sessions', 'view.agents']) {
      const { rows } = await service.owner.query(
        `select 1 from ${table} t where t::text like $1 or t::text like '%xylophone%'`,
        [`%${secret}%`],
      );
      expect([table, rows.length]).toEqual([table, 0]);
    }
    const told = await service.nextEvent(events.TurnCompleted, tenant);
    expect(JSON.stringify(told)).not.toContain('xylophone');
  });
});

describe('two instances', () => {
  test('tell a model the whole conversation and know an agent as it is, whichever of them is asked', async () => {
    const tenant = await opened();
    const other = await startInstance(definition, DispatchModule);
    try {
      for (let number = 1; number <= 12; number++) {
        const { text } = await say(tenant, `message ${number}`, { session: 'desk' });
        if (number > 1) expect(text).toContain(`This is message ${number} of our conversation.`);
      }
      for (let number = 1; number <= 6; number++) {
        await must(commands.updateAgent, tenant, { agent: 'scripted', name: `name ${number}` });
        await must(commands.updateAgent, tenant, {
          agent: 'scripted',
          model: number % 2 === 1 ? 'simulator/sim-echo' : 'simulator/sim-script',
        });
        const { model } = await must(commands.startTurn, tenant, turnOf('[{}]', { agent: 'scripted' }));
        expect(model).toBe(number % 2 === 1 ? 'simulator/sim-echo' : 'simulator/sim-script');
      }
    } finally {
      await other.close();
    }
  }, 60_000);
});

describe('a process that is killed', () => {
  test('is noticed by another, which ends its turns as interrupted and lets their sessions go on', async () => {
    const tenant = await opened();
    const { process: other } = await startApp('dispatch', { ...process.env, LOG_LEVEL: 'info' });
    const desk = { session: 'desk', agent: 'scripted' };
    const workerOf = async (turnId: string) => {
      const { rows } = await service.owner.query<{ worker: string }>(
        'select worker from view.turns where tenant_id = $1 and turn_id = $2',
        [tenant, turnId],
      );
      return rows[0]?.worker ?? '';
    };
    let running: StartTurn;
    for (;;) {
      running = await start(tenant, scriptOf({ tokens: 3_000, tokensPerSecond: 50 }), desk);
      await edge.speaks(running.turnId);
      if ((await workerOf(running.turnId)).includes(`-${other.pid}-`)) break;
      await must(commands.cancelTurn, tenant, { turnId: running.turnId });
      await edge.heard(running.turnId);
    }
    const exit = once(other, 'exit');
    other.kill('SIGKILL');
    await exit;
    const waiting = await start(tenant, scriptOf({ text: 'at last' }), desk);
    expect((await edge.heard(waiting.turnId)).text).toBe('at last');
    expect(await viewOf(tenant, running.turnId)).toMatchObject({ status: 'failed', failure: { code: 'interrupted' } });
    expect(neighbours.unbalanced(tenant)).toHaveLength(1); // Its reservation; budgets ends it when it hears of the failure.
    await service.nextEvent(events.TurnFailed, tenant, ({ data }) => data['turnId'] === running.turnId);
  }, 60_000);
});

describe('a process that stops', () => {
  test('lets turns end for a while, and then ends those that go on as interrupted', async () => {
    const tenant = await opened();
    const short = await start(tenant, scriptOf({ delayMs: 1_000, text: 'done' }), { agent: 'scripted' });
    const long = await start(tenant, scriptOf({ tokens: 2_000, tokensPerSecond: 50 }), {
      agent: 'scripted',
      session: 'desk',
    });
    await edge.speaks(long.turnId);
    await service.restart();
    expect((await edge.heard(short.turnId)).text).toBe('done');
    expect((await edge.heard(long.turnId)).end).toMatchObject({ status: 'failed', failure: { code: 'interrupted' } });
    expect(await viewOf(tenant, long.turnId)).toMatchObject({ status: 'failed', failure: { code: 'interrupted' } });
    expect(neighbours.unbalanced(tenant)).toEqual([]);
    expect((await say(tenant, scriptOf({ text: 'again' }), { agent: 'scripted', session: 'desk' })).text).toBe('again');
  }, 60_000);
});
