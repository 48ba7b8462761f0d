import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Files, tarGz, untarGz, zip } from './archives.js';
import { FETCH_LIMIT_MS, openclawTemplates } from './openclaw-templates.js';
import { START_LIMIT_MS, type Stack, startStack, type Tenant } from './stack.js';

describe('a workspace brought from OpenClaw', () => {
  let stack: Stack;
  let tenant: Tenant;
  let templates: Files;

  beforeAll(
    async () => {
      [stack, templates] = await Promise.all([startStack(), openclawTemplates()]);
      tenant = await stack.signUp();
    },
    Math.max(START_LIMIT_MS, FETCH_LIMIT_MS),
  );
  afterAll(async () => {
    await stack?.[Symbol.asyncDispose]();
  }, START_LIMIT_MS);

  test('is what the package of OpenClaw gives a new agent', () => {
    expect([...templates.keys()]).toEqual(
      expect.arrayContaining([
        'AGENTS.md',
        'SOUL.md',
        'IDENTITY.md',
        'USER.md',
        'TOOLS.md',
        'BOOTSTRAP.md',
        'HEARTBEAT.md',
      ]),
    );
  });

  test.each([
    { kind: 'tar.gz', agent: 'main', name: 'Coral', pack: tarGz },
    { kind: 'zip', agent: 'zipped', name: 'Anemone', pack: zip },
  ])('comes in as $kind, speaks as $name, and goes out with the same bytes', async ({ agent, name, pack }) => {
    if (agent !== 'main') {
      expect((await tenant.ask('POST', `${tenant.path}/agents`, { json: { agent } })).status).toBe(201);
    }
    const files = lived(name);
    const imported = await tenant.ask('POST', `${tenant.path}/workspace/import?agent=${agent}`, {
      body: pack(files),
      headers: { 'content-type': 'application/octet-stream' },
    });
    const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    expect(imported).toMatchObject({ status: 200, json: { files: files.size, bytes } });

    expect(await say(agent, 'Who are you?')).toContain(`I am ${name}, speaking`);
    expect(await say(agent, 'Please read file memory/2026-11-20.md')).toContain('We chose the blue tiles.');

    const exported = await tenant.ask('GET', `${tenant.path}/workspace/export?agent=${agent}`);
    expect(exported.status).toBe(200);
    const out = untarGz(exported.bytes);
    for (const [path, content] of files) expect({ path, content: out.get(path) }).toEqual({ path, content });
  });

  test('is taken away by one tenant and brought to another, who then has the same agent', async () => {
    const exported = await tenant.ask('GET', `${tenant.path}/workspace/export?agent=main`);
    const other = await stack.signUp();
    const imported = await other.ask('POST', `${other.path}/workspace/import`, {
      body: Buffer.from(exported.bytes),
      headers: { 'content-type': 'application/gzip' },
    });
    expect(imported.status).toBe(200);
    const again = await other.ask('GET', `${other.path}/workspace/export`);
    expect(untarGz(again.bytes)).toEqual(untarGz(exported.bytes));
    const answer = await other.ask('POST', '/v1/chat/completions', {
      json: { model: 'openclaw', messages: [{ role: 'user', content: 'Who are you?' }] },
    });
    expect(answer.text).toContain('I am Coral, speaking');
  });

  test('that reaches out of its folder is refused as a whole', async () => {
    const files = new Map([
      ['SOUL.md', Buffer.from('I am Mallory.')],
      ['../../escaped.md', Buffer.from('out')],
    ]);
    const before = (await tenant.ask('GET', `${tenant.path}/files/main/SOUL.md`)).bytes;
    const imported = await tenant.ask('POST', `${tenant.path}/workspace/import`, { body: zip(files) });
    expect(imported).toMatchObject({ status: 400, json: { code: 'archive_refused' } });
    expect((await tenant.ask('GET', `${tenant.path}/files/main/SOUL.md`)).bytes).toEqual(before);
  });

  /** The templates as they are after a few days: the agent has a name, a diary, a skill and somebody it knows. */
  function lived(name: string): Files {
    const identity = templates.get('IDENTITY.md')!.toString('utf8');
    const named = identity.replace(/- \*\*Name:\*\*\n.*\n/, `- **Name:** ${name}\n`);
    expect(named).not.toBe(identity);
    return new Map([
      ...templates,
      ['IDENTITY.md', Buffer.from(named)],
      ['memory/2026-11-20.md', Buffer.from('# Friday\n\nWe chose the blue tiles.\n')],
      ['users/ada/USER.md', Buffer.from('# USER.md\n\n- **Name:** Ada\n')],
      [
        'skills/tide-table/SKILL.md',
        Buffer.from('---\nname: tide-table\ndescription: Says when the tide turns\n---\n\nLook it up.\n'),
      ],
      ['avatars/coral.png', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0xff])],
    ]);
  }

  async function say(agent: string, content: string): Promise<string> {
    const answer = await tenant.ask('POST', '/v1/chat/completions', {
      json: { model: `openclaw/${agent}`, messages: [{ role: 'user', content }] },
    });
    expect(answer.status).toBe(200);
    return (answer.json as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
  }
});
