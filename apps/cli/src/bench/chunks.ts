import { type Bench, type Figure, figure } from './bench.js';
import { onOwnStack, type OwnStack } from './parts/own-stack.js';
import { cpuBetween, useOf } from './parts/processes.js';
import { chatRequest, type Target, TurnClient } from './parts/turn-client.js';
import { call } from '../stack/http.js';

const streams = 40;
/** Long enough that the beginning and end of a turn weigh little. */
const seconds = 8;
/** Below a frame each 10 ms every chunk travels by itself; above it, several travel together. */
const paces = [
  { name: 'paced, a frame for each', tokensPerSecond: 50 },
  { name: 'coalesced, a frame for twenty', tokensPerSecond: 2_000 },
] as const;
const tenant = 'bench-chunks';

export const bench: Bench = {
  about: `the CPU of a streamed chunk, all processes but the simulated provider; ${streams} turns at once`,
  run: (say) =>
    onOwnStack(async (stack) => {
      const apiKey = await stack.signUp(tenant);
      const body = { agent: 'player', model: 'simulator/sim-script' };
      const { status } = await call('POST', `${stack.baseUrl}/api/tenants/${tenant}/agents`, { apiKey, body });
      if (status !== 201) throw new Error(`creating an agent was answered with ${status}`);
      const client = new TurnClient();
      const targetOf = (tokens: number, tokensPerSecond: number): Target =>
        chatRequest(stack.baseUrl, apiKey, {
          model: 'openclaw/player',
          max_tokens: tokens,
          messages: [{ role: 'user', content: JSON.stringify([{ tokens, tokensPerSecond }]) }],
        });
      const figures: Figure[] = [];
      for (const { name, tokensPerSecond } of paces) {
        const tokens = tokensPerSecond * seconds;
        await spent(stack, client, targetOf(tokensPerSecond, tokensPerSecond)); // V8 has to see the path first.
        const fixedMs = await spent(stack, client, targetOf(1, tokensPerSecond));
        const wholeMs = await spent(stack, client, targetOf(tokens, tokensPerSecond));
        say(
          `${name}: ${streams} turns of ${tokens} chunks took ${Math.round(wholeMs)} ms of CPU, of one chunk ${Math.round(fixedMs)}`,
        );
        figures.push(figure(`CPU of a chunk, ${name}`, ((wholeMs - fixedMs) * 1_000) / (streams * (tokens - 1)), 'µs'));
      }
      client.close();
      return figures;
    }),
};

/** CPU that some turns at once take, ms. */
async function spent(stack: OwnStack, client: TurnClient, target: Target): Promise<number> {
  const processes = stack.processes.filter(({ name }) => name !== 'simulator');
  const before = useOf(processes);
  const heard = await Promise.all(Array.from({ length: streams }, () => client.ask(target)));
  if (heard.some(({ complete }) => !complete)) throw new Error('a turn was not whole');
  return cpuBetween(before, useOf(processes)).reduce((sum, [, ms]) => sum + ms, 0);
}
