import { limit, type Refusal } from '@reef/contracts';
import { z } from 'zod';
import { spell } from '../api/amounts.js';

const amount = z
  .string()
  .regex(/^\d{1,36}$/)
  .transform(BigInt);
const exhausted = z.object({ unit: limit.shape.unit, cap: amount, left: amount, needed: amount.optional() });

/**
 * A used-up budget as the API spells amounts, in its words too: what would have been needed, where that is known, and what is left.
 * Any other refusal is let through.
 */
export function spelledBudget(refusal: Refusal): Refusal {
  if (refusal.code !== 'budget_exhausted') return refusal;
  const known = exhausted.safeParse(refusal.details);
  if (!known.success) return refusal;
  const { unit, ...amounts } = known.data;
  const cap = spell(unit, amounts.cap);
  const left = spell(unit, amounts.left);
  const needed = amounts.needed === undefined ? null : spell(unit, amounts.needed);
  const name = unit === 'usd' ? 'USD' : unit;
  const wanted = needed === null ? '' : `${needed} ${name} would be needed, `;
  const { name: _ours, ...details } = refusal.details ?? {};
  return {
    ...refusal,
    message: `${refusal.message}: ${wanted}${left} of ${cap} ${name} is left`,
    details: { ...details, cap, left, ...(needed !== null && { needed }) },
  };
}
