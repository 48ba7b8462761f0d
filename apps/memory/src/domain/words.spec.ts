import { expect, test } from '@jest/globals';
import { wordsOf } from './words.js';

test('words are compared without case, in whatever script', () =>
  expect(wordsOf('Ada LIKES Ünïcode, Ζεύς and ДОМ', 10)).toEqual(['ada', 'likes', 'ünïcode', 'ζεύς', 'and', 'дом']));

test('a word counts once', () => expect(wordsOf('tea, Tea and TEA', 10)).toEqual(['tea', 'and']));

test('two ways of writing one letter are one word', () =>
  expect(wordsOf('caf\u00e9 cafe\u0301', 10)).toEqual(['café']));

test('scripts without spaces are searched letter by letter, also beside others', () =>
  expect(wordsOf('AI日本語 test', 10)).toEqual(['ai', '日', '本', '語', 'test']));

test('marks stay with their letters', () => expect(wordsOf('हिन्दी भाषा', 10)).toEqual(['हिन्दी', 'भाषा']));

test('nothing of a query language survives', () =>
  expect(wordsOf(`tea' | !cake:* & ("x" <-> \\'y\\') -- ; drop`, 20)).toEqual(['tea', 'cake', 'x', 'y', 'drop']));

test('signs and pictures are no words', () => expect(wordsOf('🦀 🏳️‍🌈 … \ud800 %', 10)).toEqual([]));

test('only the first 64 words of a question count', () => {
  const question = Array.from({ length: 65 }, (_, index) => `word${index}`).join(' ');
  expect(wordsOf(question, 64)).toHaveLength(64);
  expect(wordsOf(question, 64).at(-1)).toBe('word63');
});

test('a run of letters is cut after 64', () => {
  expect(wordsOf('a'.repeat(64), 10)).toEqual(['a'.repeat(64)]);
  expect(wordsOf('a'.repeat(65), 10)).toEqual(['a'.repeat(64), 'a']);
});
