import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { EVENT_CHARACTERS_MAX, EventReader } from './sse.js';

function read(...pieces: string[]): string[] {
  const seen: string[] = [];
  const reader = new EventReader((data) => seen.push(data));
  for (const piece of pieces) expect(reader.push(piece)).toBe(true);
  return seen;
}

describe('server-sent events', () => {
  test('are told by their data, whatever else they carry', () => {
    expect(read(': hello\n\nevent: x\nid: 7\ndata: {"a":1}\n\ndata:b\n\nretry: 10\n\n')).toEqual(['{"a":1}', 'b']);
  });

  test('of several lines are one text', () => {
    expect(read('data: a\ndata:  b\ndata\n\n')).toEqual(['a\n b\n']);
  });

  test('that nothing ends are none', () => {
    expect(read('data: a\n\ndata: b\n')).toEqual(['a']);
  });

  test('begin after a byte order mark, and names that begin like data are others', () => {
    expect(read('\uFEFFdata: a\n\ndatabase: b\n\n')).toEqual(['a']);
  });

  test('come out the same wherever their text is cut and however its lines end', () => {
    const line = fc.constantFrom('data: {"x":"ж€😀"}', 'data:', ': comment', 'event: e', 'data: two', '');
    const ends = fc.constantFrom('\n', '\r\n', '\r');
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 12 }),
        ends,
        fc.array(fc.nat(200), { maxLength: 8 }),
        (lines, end, cuts) => {
          const plain = [...lines, '', ''].map((each) => `${each}\n`).join('');
          const whole = plain.replaceAll('\n', end);
          const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b), whole.length];
          const pieces = places.slice(1).map((place, index) => whole.slice(places[index], place));
          expect(read(...pieces)).toEqual(read(plain));
        },
      ),
    );
  });

  test('of 2,000,000 characters are read, one character more is refused, in one line or in several', () => {
    const [longest, tooLong] = [EVENT_CHARACTERS_MAX - 'data:'.length, EVENT_CHARACTERS_MAX - 'data:'.length + 1];
    expect(new EventReader(() => undefined).push(`data:${'x'.repeat(longest)}`)).toBe(true);
    expect(new EventReader(() => undefined).push(`data:${'x'.repeat(tooLong)}`)).toBe(false);
    const half = `data:${'x'.repeat(EVENT_CHARACTERS_MAX / 2)}\n`;
    expect(new EventReader(() => undefined).push(half + half)).toBe(false);
  });
});
