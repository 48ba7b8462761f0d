import { describe, expect, test } from '@jest/globals';
import { parseSkill } from './skill.js';

const skill = (matter: string, body = '# How to\n') => `---\n${matter}\n---\n${body}`;

describe('a skill', () => {
  test('tells the prompt its name, its description and where to read more', () => {
    expect(parseSkill('tide-table', skill('name: tide-table\ndescription: "Reads tides: high and low."'))).toEqual({
      name: 'tide-table',
      description: 'Reads tides: high and low.',
      location: 'skills/tide-table/SKILL.md',
    });
  });

  test('may carry more than the prompt needs, and be written on Windows', () => {
    const text =
      '\ufeff---\r\nname: a\r\ndescription: |\r\n  Two\r\n  lines\r\nmetadata:\r\n  openclaw: { os: [linux] }\r\n---\r\nbody';
    expect(parseSkill('a', text)?.description).toBe('Two\nlines');
  });

  test('with a description of 1,024 characters is taken, with one more left out', () => {
    const of = (length: number) => parseSkill('a', skill(`name: a\ndescription: ${'x'.repeat(length)}`));
    expect(of(1_024)?.description).toHaveLength(1_024);
    expect(of(1_025)).toBeNull();
  });

  test.each([
    ['is named unlike its folder', skill('name: b\ndescription: d')],
    ['has capitals in its name', skill('name: A\ndescription: d')],
    ['has no description', skill('name: a')],
    ['has an empty description', skill('name: a\ndescription: ""')],
    ['names itself twice', skill('name: a\nname: a\ndescription: d')],
    ['has a number for a description', skill('name: a\ndescription: 7')],
    ['has no front matter', '# Just text\n'],
    ['never ends its front matter', '---\nname: a\ndescription: d\n'],
    ['is not YAML', skill('name: [a\ndescription: d')],
    ['unfolds aliases', skill('x: &x [1]\nname: a\ndescription: d\ny: [*x, *x]')],
    ['is a list', skill('- name: a')],
    ['is nothing', ''],
  ])('that %s is left out', (_fault, text) => {
    expect(parseSkill('a', text)).toBeNull();
  });
});
