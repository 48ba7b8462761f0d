import { type Bench, figure } from './bench.js';
import { onOwnStack } from './parts/own-stack.js';
import { percentile } from './parts/percentile.js';
import { chatRequest, TurnClient } from './parts/turn-client.js';

const warmUps = 10;
const signUps = 150;
const timeLimitMs = 40_000;
const messages = [{ role: 'user', content: 'Hello, who are you?' }];

export const bench: Bench = {
  about:
    'from a sign-up to the first token of the first reply, one newcomer after the other; the model answers at once',
  run: (say) =>
    onOwnStack(async (stack) => {
      const client = new TurnClient();
      const ownMs: number[] = [];
      const registerMs: number[] = [];
      const firstTokenMs: number[] = [];
      const deadlineMs = performance.now() + timeLimitMs;
      for (let index = 0; index < warmUps + signUps && performance.now() < deadlineMs; index += 1) {
        const { firstTokenMs: modelMs } = await client.ask(
          chatRequest(stack.simulatorUrl, 'none', { model: 'sim-echo', messages }),
        );
        const startMs = performance.now();
        const apiKey = await stack.signUp(`newcomer-${index}`);
        const registeredMs = performance.now();
        const turn = chatRequest(stack.baseUrl, apiKey, { model: 'openclaw', messages });
        const { complete, status, firstTokenMs: turnMs } = await client.ask(turn);
        if (!complete) throw new Error(`the first turn of a newcomer was answered with ${status}`);
        if (index < warmUps) continue;
        ownMs.push(modelMs);
        registerMs.push(registeredMs - startMs);
        firstTokenMs.push(registeredMs - startMs + turnMs);
      }
      client.close();
      const modelMs = percentile(ownMs, 0.5);
      say(`${firstTokenMs.length} sign-ups; the model's own time, ${modelMs.toFixed(2)} ms, is taken off`);
      return [0.5, 0.99].flatMap((share) => [
        figure(`sign-up to first token, p${share * 100}`, percentile(firstTokenMs, share) - modelMs, 'ms'),
        figure(`    of it the sign-up, p${share * 100}`, percentile(registerMs, share), 'ms'),
      ]);
    }),
};
