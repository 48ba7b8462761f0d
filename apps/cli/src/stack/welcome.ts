import type { Demo } from './demo.js';

/** The box at the end of a start. Goes to the terminal alone: it shows the demo tenant's key. */
export function welcome(demo: Demo): string {
  const lines = [
    `Console   ${demo.baseUrl}/   (${demo.email}, password in demo.json)`,
    `API       ${demo.baseUrl}/v1`,
    `API docs  ${demo.baseUrl}/api/docs`,
  ];
  const width = Math.max(...lines.map((line) => line.length));
  const rule = '─'.repeat(width + 2);
  return [
    `╭${rule}╮`,
    ...lines.map((line) => `│ ${line.padEnd(width)} │`),
    `╰${rule}╯`,
    '',
    `curl ${demo.baseUrl}/v1/chat/completions \\`,
    `  -H 'authorization: Bearer ${demo.apiKey}' -H 'content-type: application/json' \\`,
    `  -d '{"model": "openclaw", "messages": [{"role": "user", "content": "Hello"}]}'`,
    '',
    `import OpenAI from 'openai';`,
    `const client = new OpenAI({ baseURL: '${demo.baseUrl}/v1', apiKey: '${demo.apiKey}' });`,
    `const answer = await client.chat.completions.create({ model: 'openclaw', messages: [{ role: 'user', content: 'Hello' }] });`,
    '',
  ].join('\n');
}
