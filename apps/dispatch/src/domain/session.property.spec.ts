import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isOpen, live, openIn, steps } from '../../test/lives.js';
import { CHARACTERS_REMEMBERED_MAX, OPEN_TURNS_MAX, TURNS_REMEMBERED_MAX } from './session.js';

test('whatever happens, at most one turn of a session runs, and it is the one that waited longest', () => {
  fc.assert(
    fc.property(steps, (life) => {
      live(life, (session) => {
        const open = openIn(session);
        expect(open.length).toBeLessThanOrEqual(OPEN_TURNS_MAX);
        expect(open.slice(1).every(({ status }) => status === 'queued')).toBe(true);
      });
    }),
  );
});

test('whatever happens, a turn is requested once, starts once at most, and ends once at most and after its request', () => {
  fc.assert(
    fc.property(steps, (life) => {
      const told = new Map<string, string[]>();
      // A turn that was forgotten may be requested anew under its id, a day and sixty turns later; it is a new turn.
      for (const event of live(life).flat()) {
        const { turnId } = event.data;
        if (event.type === 'TurnRequested') told.set(turnId, []);
        told.get(turnId)?.push(event.type);
        expect(told.get(turnId)?.join(' ')).toMatch(
          /^TurnRequested( TurnStarted)?( TurnCompleted| (TurnFailed|TurnCancelled)( TurnWorked)?)?$/,
        );
      }
    }),
  );
});

test('whatever happens, a session remembers no more than it may', () => {
  fc.assert(
    fc.property(steps, (life) => {
      live(life, (session) => {
        const ended = [...session.turns.values()].filter(({ status }) => !isOpen(status));
        expect(ended.length).toBeLessThanOrEqual(TURNS_REMEMBERED_MAX);
        const characters = ended.reduce((sum, turn) => sum + turn.message.length + (turn.reply?.length ?? 0), 0);
        expect(characters <= CHARACTERS_REMEMBERED_MAX || ended.length <= OPEN_TURNS_MAX).toBe(true);
      });
    }),
  );
});

test('whatever happens, a call is told once, also where its turn was ended from outside', () => {
  fc.assert(
    fc.property(steps, (life) => {
      const told = new Map<string, number>();
      for (const event of live(life).flat()) {
        const { turnId } = event.data;
        if (event.type === 'TurnRequested') told.set(turnId, 0);
        if ('calls' in event.data) told.set(turnId, (told.get(turnId) ?? 0) + event.data.calls.length);
        expect(told.get(turnId)).toBeLessThanOrEqual(1);
      }
    }),
  );
});
