import { limit, limitStanding, topUpStanding } from '@reef/contracts';
import { z } from 'zod';
import { picoOf, USD_PATTERN, usdOf } from '../money.js';

export type Unit = z.output<typeof limit>['unit'];

/** An amount as the API spells it: USD as a decimal, tokens, messages and requests as whole numbers; always text. */
export const quantity = z.string().regex(USD_PATTERN, 'a decimal with at most twelve decimals, as text');
export const spell = (unit: Unit, amount: bigint) => (unit === 'usd' ? usdOf(amount) : amount.toString());
export const read = (unit: Unit, text: string) => (unit === 'usd' ? picoOf(text) : BigInt(text));

export const isSpelledFor = (unit: Unit, text: string) => unit === 'usd' || !text.includes('.');
export const WHOLE_NUMBERS = 'tokens, messages and requests are whole numbers';

const capFits = ({ unit, cap }: { unit: Unit; cap: string }) => isSpelledFor(unit, cap);
const ofCap = { path: ['cap'], message: WHOLE_NUMBERS };

export const limitBody = z.strictObject({ ...limit.shape, cap: quantity }).refine(capFits, ofCap);
export const planLimitBody = z
  .strictObject({
    ...limit.shape,
    cap: quantity,
    topUps: z.boolean().default(false).describe('Top-ups of this unit are spent once the cap is used up'),
  })
  .refine(capFits, ofCap);

type InHttp<Limit> = Omit<Limit, 'cap'> & { cap: string };
type InContract<Limit> = Omit<Limit, 'cap'> & { cap: bigint };

export const limitToContract = <Limit extends { unit: Unit; cap: string }>(body: Limit): InContract<Limit> => ({
  ...body,
  cap: read(body.unit, body.cap),
});

export const limitToHttp = <Limit extends { unit: Unit; cap: bigint }>(stored: Limit): InHttp<Limit> => ({
  ...stored,
  cap: spell(stored.unit, stored.cap),
});

const { scope, scopeId, window, unit, windowEndsAt, hard, setBy } = limitStanding.shape;
const amounts = { cap: z.string(), posted: z.string(), held: z.string(), left: z.string() };
export const standing = z.object({ scope, scopeId, window, unit, ...amounts, windowEndsAt, hard, setBy });

export function standingToHttp(row: z.output<typeof limitStanding>): z.output<typeof standing> {
  const { cap, posted, held, left, ...rest } = row;
  return {
    ...rest,
    cap: spell(row.unit, cap),
    posted: spell(row.unit, posted),
    held: spell(row.unit, held),
    left: spell(row.unit, left),
  };
}

export const topUp = z.object({ unit, granted: z.string(), used: z.string(), left: z.string() });

export const topUpToHttp = (row: z.output<typeof topUpStanding>): z.output<typeof topUp> => ({
  unit: row.unit,
  granted: spell(row.unit, row.granted),
  used: spell(row.unit, row.used),
  left: spell(row.unit, row.granted - row.used),
});
