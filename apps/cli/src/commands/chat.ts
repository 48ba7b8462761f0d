import { Explained } from '../explained.js';
import { deltasOf } from '../chat/deltas.js';
import { readDemo } from '../stack/demo.js';
import { runningSupervisor } from '../stack/home-lock.js';
import { layout as layoutOf } from '../stack/layout.js';

/** Streams the demo tenant's agent to the terminal; Ctrl-C cancels the turn. */
export async function chat(command: { agent: string | undefined; message: string }): Promise<number> {
  const layout = layoutOf(process.env);
  const demo = readDemo(layout);
  if (demo === undefined || runningSupervisor(layout) === undefined) {
    throw new Explained('no stack runs here; start one with ./reef up --detach');
  }
  const cancelled = new AbortController();
  process.once('SIGINT', () => cancelled.abort());
  try {
    const response = await fetch(`${demo.baseUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${demo.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: command.agent === undefined ? 'openclaw' : `openclaw/${command.agent}`,
        stream: true,
        // One user, so that the conversation goes on with the next call.
        user: 'terminal',
        messages: [{ role: 'user', content: command.message }],
      }),
      signal: cancelled.signal,
    });
    if (!response.ok || response.body === null) throw new Explained(await refusal(response));
    for await (const text of deltasOf(response.body)) process.stdout.write(text);
    process.stdout.write('\n');
    return 0;
  } catch (error) {
    if (cancelled.signal.aborted) {
      process.stdout.write('\n(cancelled)\n');
      return 130;
    }
    if (error instanceof TypeError) throw new Explained(`${demo.baseUrl} does not answer; see ./reef status`);
    throw error;
  }
}

async function refusal(response: Response): Promise<string> {
  const body = (await response.json().catch(() => undefined)) as { error?: { message?: string } } | undefined;
  return `the agent refused (${response.status}): ${body?.error?.message ?? 'no reason given'}`;
}
