import { Client } from 'pg';
import { call } from '../stack/http.js';
import { type Bench, type Figure, figure } from './bench.js';
import { closedLoop, openLoop } from './parts/load.js';
import { atOnce, onOwnStack, type OwnStack, until } from './parts/own-stack.js';
import { percentile } from './parts/percentile.js';
import { cpuBetween, useOf } from './parts/processes.js';
import { chatRequest, type Heard, type Target, TurnClient } from './parts/turn-client.js';

const tenantCount = 20;
const replyTokens = 20;
const message = `[{"tokens":${replyTokens}}]`;
const rates = [50, 200];
// V8 compiles what has run often: a server that has served some thousands of turns is another than one that has just started.
const warmUp = { perSecond: 150, seconds: 20 };
const directSeconds = 4;
const throughSeconds = 8;
const sustained = { inFlight: 64, seconds: 10 };
/** Time that projections and settlements of the last turns may take. */
const settlingLimitMs = 10_000;

export const bench: Bench = {
  about: `what a turn takes longer than its model call, and how many turns a second there are at most; streamed, ${tenantCount} tenants`,
  run: (say) =>
    onOwnStack(async (stack) => {
      const turns = await turnsOf(stack);
      const client = new TurnClient();
      const ask = (targets: readonly Target[]) => (index: number, dueMs?: number) =>
        client.ask(targets[index % targets.length] as Target, dueMs);
      const sample = await client.ask(turns[0] as Target);
      const promptTokens = Number(/"prompt_tokens":(\d+)/.exec(sample.text)?.[1]);
      say(`a turn: ${promptTokens} prompt tokens, ${replyTokens} reply tokens, which the simulator sends at once`);
      const direct = [directCall(stack, promptTokens)];
      const answered = [sample, ...(await openLoop(warmUp, ask(turns)))];
      await openLoop(warmUp, ask(direct));

      const figures: Figure[] = [];
      for (const perSecond of rates) {
        const alone = await openLoop({ perSecond, seconds: directSeconds }, ask(direct));
        const before = useOf(stack.processes);
        const own = process.cpuUsage();
        const heard = await openLoop({ perSecond, seconds: throughSeconds }, ask(turns));
        const generator = cpuShare(process.cpuUsage(own));
        const cpu = cpuBetween(before, useOf(stack.processes));
        answered.push(...heard);
        figures.push(...added(perSecond, alone, heard), ...cpuFigures(perSecond, heard.length, cpu));
        say(`${perSecond} turns/s: ${outcomes(heard)}; the load generator itself took ${generator} of a core`);
      }

      const { results, seconds } = await closedLoop(sustained, ask(turns));
      answered.push(...results);
      say(`${sustained.inFlight} in flight: ${outcomes(results)}`);
      const toEndMs = results.filter(isWhole).map(({ endMs }) => endMs);
      const conditions = `${sustained.inFlight} in flight for ${sustained.seconds} s`;
      figures.push(
        figure(`turns a second, ${conditions}`, toEndMs.length / seconds, '/s'),
        figure('    to the end, p50', percentile(toEndMs, 0.5), 'ms'),
        figure('    to the end, p99', percentile(toEndMs, 0.99), 'ms'),
      );
      client.close();

      const whole = answered.filter(isWhole);
      const inLog = await turnsInLog(stack, whole.length);
      const lost = whole.filter(({ turn }) => !inLog.has(turn)).length;
      say(`${whole.length} whole replies, ${inLog.size} completed turns in dispatch's log`);
      return [
        ...figures,
        figure('turns asked for', answered.length, 'turns'),
        figure('of them refused or broken, and in no percentile', answered.length - whole.length, 'turns'),
        figure('replies without a turn in the log', lost, 'turns'),
      ];
    }),
};

/** A turn of each tenant's agent, whose model plays a script. */
async function turnsOf(stack: OwnStack): Promise<Target[]> {
  const names = Array.from({ length: tenantCount }, (_, index) => `bench-${index}`);
  return atOnce(4, names, async (tenant) => {
    const apiKey = await stack.signUp(tenant);
    const body = { agent: 'player', model: 'simulator/sim-script' };
    const { status } = await call('POST', `${stack.baseUrl}/api/tenants/${tenant}/agents`, { apiKey, body });
    if (status !== 201) throw new Error(`creating an agent was answered with ${status}`);
    return chatRequest(stack.baseUrl, apiKey, {
      model: 'openclaw/player',
      messages: [{ role: 'user', content: message }],
    });
  });
}

/** What a turn asks of the model, asked without Reef: a prompt of the same size, the same reply. */
function directCall(stack: OwnStack, promptTokens: number): Target {
  const tokensPerMessage = 4;
  const system = 'x'.repeat(Math.max(1, (promptTokens - 2 * tokensPerMessage) * 4 - message.length));
  const messages = [
    { role: 'system', content: system },
    { role: 'user', content: message },
  ];
  return chatRequest(stack.simulatorUrl, 'none', { model: 'sim-script', messages, max_tokens: 4_096 });
}

function isWhole({ complete, text }: Heard): boolean {
  return complete && (text.match(/sea/g) ?? []).length === replyTokens;
}

/** Such as `400 whole, 3 with status 504`. */
function outcomes(heard: readonly Heard[]): string {
  const counts = new Map<string, number>();
  for (const one of heard) {
    const outcome = isWhole(one) ? 'whole' : `with status ${one.status}`;
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
}

function added(perSecond: number, direct: readonly Heard[], through: readonly Heard[]): Figure[] {
  const wholeOnes = [through, direct].map((heard) => heard.filter(isWhole));
  const kinds = [
    ['first token', (heard: Heard) => heard.firstTokenMs],
    ['end', (heard: Heard) => heard.endMs],
  ] as const;
  return kinds.flatMap(([name, timeOf]) =>
    [0.5, 0.99].map((share) => {
      const [throughMs = NaN, directMs = NaN] = wholeOnes.map((heard) => percentile(heard.map(timeOf), share));
      const ms = throughMs - directMs;
      return figure(`added to the ${name} at ${perSecond} turns/s, p${share * 100}`, ms, 'ms');
    }),
  );
}

function cpuFigures(perSecond: number, turns: number, cpu: readonly [string, number][]): Figure[] {
  const total = cpu.reduce((sum, [, ms]) => sum + ms, 0);
  return [
    figure(`CPU of a turn at ${perSecond} turns/s, all processes`, total / turns, 'ms'),
    ...cpu.filter(([, ms]) => ms / turns >= 0.05).map(([name, ms]) => figure(`    ${name}`, ms / turns, 'ms')),
  ];
}

function cpuShare({ user, system }: NodeJS.CpuUsage): string {
  return `${Math.round((user + system) / throughSeconds / 10_000)} %`;
}

/** The ids of the turns that are completed in dispatch's log; waits until there are so many. */
async function turnsInLog(stack: OwnStack, expected: number): Promise<ReadonlySet<string>> {
  const client = new Client({ connectionString: stack.databases.dispatch.feedUrl });
  await client.connect();
  try {
    let ids: ReadonlySet<string> = new Set();
    const allThere = async () => {
      const { rows } = await client.query<{ turn_id: string }>(
        `select turn_id from view.turns where status = 'completed'`,
      );
      ids = new Set(rows.map((row) => row.turn_id));
      return ids.size >= expected;
    };
    await until(allThere, { everyMs: 300, limitMs: settlingLimitMs });
    return ids;
  } finally {
    await client.end();
  }
}
