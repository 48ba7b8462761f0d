import { describe, expect, test } from '@jest/globals';
import type { PromptInput } from './prompt.js';
import { buildPrompt } from './prompt.js';

const file = (path: string, text: string, bytes = Buffer.byteLength(text)) => ({ path, text, bytes });
const required = ['AGENTS.md', 'SOUL.md', 'IDENTITY.md', 'USER.md'].map((name) => file(name, `text of ${name}`));

function input(more: Partial<PromptInput> = {}): PromptInput {
  return {
    agent: { id: 'main', name: 'main', instructions: '' },
    files: required,
    skills: [],
    isNew: false,
    isPrivate: false,
    memories: [],
    requestInstructions: null,
    now: new Date('2026-11-22T14:05:59Z'),
    timeZone: 'Europe/Berlin',
    channel: 'http',
    model: 'simulator/sim-echo',
    ...more,
  };
}

const headings = (prompt: string) => [...prompt.matchAll(/^## (\S+\.md)$/gm)].map((match) => match[1]);
/** The text of a file as the prompt has it. */
const section = (prompt: string, name: string) => prompt.split(`## ${name}\n`)[1]!.split('\n\n## ')[0]!;

describe('the workspace in the prompt', () => {
  test("files come in OpenClaw's order, whatever order they arrive in, with or without the agent's folder", () => {
    const names = [
      'MEMORY.md',
      'BOOTSTRAP.md',
      'TOOLS.md',
      'users/ada/USER.md',
      'USER.md',
      'IDENTITY.md',
      'SOUL.md',
      'AGENTS.md',
    ];
    const files = names.map((name, index) => file(index % 2 ? name : `main/${name}`, 'x'));
    expect(headings(buildPrompt(input({ files, isNew: true, isPrivate: true })).stable)).toEqual([
      'AGENTS.md',
      'SOUL.md',
      'IDENTITY.md',
      'USER.md',
      'users/ada/USER.md',
      'TOOLS.md',
      'BOOTSTRAP.md',
      'MEMORY.md',
    ]);
  });

  test('BOOTSTRAP.md is for new workspaces, MEMORY.md for private sessions, HEARTBEAT.md and diaries for neither', () => {
    const more = ['BOOTSTRAP.md', 'MEMORY.md', 'HEARTBEAT.md', 'memory/2026-11-22.md'].map((name) => file(name, 'x'));
    const shown = (state: Partial<PromptInput>) =>
      headings(buildPrompt(input({ files: [...required, ...more], ...state })).stable).slice(4);
    expect(shown({})).toEqual([]);
    expect(shown({ isNew: true })).toEqual(['BOOTSTRAP.md']);
    expect(shown({ isPrivate: true })).toEqual(['MEMORY.md']);
  });

  test('a missing required file and an empty one each leave a line', () => {
    const { stable } = buildPrompt(input({ files: [file('SOUL.md', ' \n'), required[2]!, required[3]!] }));
    expect(section(stable, 'AGENTS.md')).toBe('(This file is missing.)');
    expect(section(stable, 'SOUL.md')).toBe('(This file is empty.)');
  });

  test('a file of 20,000 characters is whole, one of 20,001 is cut to 20,000 and says so', () => {
    const soul = (characters: number) =>
      section(buildPrompt(input({ files: [file('SOUL.md', 's'.repeat(characters))] })).stable, 'SOUL.md');
    expect(soul(20_000)).toBe('s'.repeat(20_000));
    expect(soul(20_001)).toHaveLength(20_000);
    expect(soul(20_001)).toMatch(/s\n\[cut here: the file has 20001 bytes; read it for the rest\]$/);
  });

  test('a file that arrives cut says so, however short', () => {
    const { stable } = buildPrompt(input({ files: [file('SOUL.md', 'short', 90_000)] }));
    expect(section(stable, 'SOUL.md')).toContain('the file has 90000 bytes');
  });

  test('USER.md may have 4,000 characters, and so may its overlay', () => {
    for (const name of ['USER.md', 'users/ada/USER.md']) {
      const user = (characters: number) =>
        section(buildPrompt(input({ files: [file(name, 'u'.repeat(characters))] })).stable, name);
      expect(user(4_000)).toBe('u'.repeat(4_000));
      expect(user(4_001)).toHaveLength(4_000);
      expect(user(4_001)).toContain('[cut here');
    }
  });

  test('all files together take 60,000 characters, and what no longer fits is said to be left out', () => {
    const big = ['AGENTS.md', 'SOUL.md', 'IDENTITY.md'].map((name) => file(name, 'x'.repeat(20_000)));
    const { stable } = buildPrompt(input({ files: [...big, file('USER.md', 'hello'), file('TOOLS.md', 'tools')] }));
    expect(section(stable, 'IDENTITY.md')).toHaveLength(20_000);
    for (const name of ['USER.md', 'TOOLS.md']) expect(section(stable, name)).toMatch(/^\(Left out/);
    expect(stable.length).toBeLessThan(62_500);
  });

  test('no cut goes through a character', () => {
    const { stable } = buildPrompt(input({ files: [file('SOUL.md', `${'x'.repeat(7)}${'😀'.repeat(12_000)}`)] }));
    expect(stable.isWellFormed()).toBe(true);
  });
});

describe('the rest of the prompt', () => {
  test('skills are listed by name with description and location, and not a word more', () => {
    const skills = [
      { name: 'weather', description: 'Tell the\nweather.', location: 'skills/weather/SKILL.md' },
      { name: 'mail', description: 'Write mail.', location: 'skills/mail/SKILL.md' },
    ];
    expect(buildPrompt(input({ skills })).stable).toContain(
      '- mail (skills/mail/SKILL.md): Write mail.\n- weather (skills/weather/SKILL.md): Tell the weather.',
    );
  });

  test('what changes from turn to turn stays behind the cache boundary', () => {
    const one = buildPrompt(input());
    const other = buildPrompt(
      input({
        now: new Date('2027-01-01T00:00:00Z'),
        memories: [{ text: 'Likes\ntea' }],
        requestInstructions: 'Be brief.',
        channel: 'schedule',
        model: 'a/b',
      }),
    );
    expect(other.stable).toBe(one.stable);
    expect(other.dynamic).toContain('- Likes tea');
    expect(other.dynamic).toContain('Be brief.');
    expect(other.dynamic).toContain('channel schedule');
  });

  test('the time is local, to the minute, and an unknown zone falls back to UTC', () => {
    expect(buildPrompt(input()).dynamic).toContain('Sunday, 22 November 2026 at 15:05 (Europe/Berlin)');
    expect(buildPrompt(input({ timeZone: 'Atlantis/Nowhere' })).dynamic).toContain('14:05 (UTC)');
    const aSecondLater = new Date('2026-11-22T14:06:00Z');
    expect(buildPrompt(input({ now: aSecondLater })).dynamic).toContain('at 15:06 (Europe/Berlin)');
  });

  test("of 21 memories 20 are shown, and so are the agent's name and instructions", () => {
    const memories = Array.from({ length: 21 }, (_, index) => ({ text: `fact ${index + 1}` }));
    const prompt = buildPrompt(input({ memories, agent: { id: 'main', name: 'Robin', instructions: 'Speak Dutch.' } }));
    expect(prompt.dynamic).toContain('fact 20');
    expect(prompt.dynamic).not.toContain('fact 21');
    expect(prompt.stable).toContain('## Instructions\nSpeak Dutch.');
    expect(prompt.stable).toContain('Your name is Robin, unless');
    expect(buildPrompt(input()).stable).not.toContain('Your name is');
  });

  test('without files our own words are less than a tenth of 45 kB', () => {
    const { stable, dynamic } = buildPrompt(input({ files: [] }));
    expect(Buffer.byteLength(stable + dynamic)).toBeLessThan(2_500);
  });
});
