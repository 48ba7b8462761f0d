import { expect, test } from '@jest/globals';
import { SourceTextModule } from 'node:vm';
import { CONSOLE_BODY } from './body.js';
import { consolePage } from './console.js';
import { CONSOLE_SCRIPT } from './script.js';

test('the console is a script that parses, and touches only what its page has', () => {
  expect(() => new SourceTextModule(CONSOLE_SCRIPT)).not.toThrow();
  const ids = new Set([...CONSOLE_BODY.matchAll(/id="(\w+)"/g)].map(([, id]) => id));
  const touched = [...CONSOLE_SCRIPT.matchAll(/\bat\('(\w+)'\)/g)].map(([, id]) => id);
  expect(touched.length).toBeGreaterThan(10);
  expect(touched.filter((id) => !ids.has(id))).toEqual([]);
});

test('the console writes what a server says as text only, and loads nothing from elsewhere', () => {
  expect(CONSOLE_SCRIPT).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write|eval\(/);
  expect(consolePage.html).not.toMatch(/(?:src|href)="https?:/);
});
