import type { budgets, OutputOf, Plan } from '@reef/contracts';

export type Invoice = OutputOf<typeof budgets.queries.invoice>;

const PICO_PER_CENT = 10_000_000_000n;
const BASIS_POINTS = 10_000n;

/**
 * What a tenant owes for a month. Costs are exact; the mark-up of a picodollar may be a part of one, so everything is summed in
 * ten-thousandths of a picodollar, and only the total is rounded: to the cent, half up.
 */
export function billOf(month: string, plan: Plan | null, usagePico: bigint): Invoice {
  const markupBasisPoints = plan?.markupBasisPoints ?? 0;
  const markup = usagePico * BigInt(markupBasisPoints);
  const total = ((plan?.pricePico ?? 0n) + usagePico) * BASIS_POINTS + markup;
  const cent = PICO_PER_CENT * BASIS_POINTS;
  return {
    month,
    plan: plan && { plan: plan.plan, name: plan.name, pricePico: plan.pricePico },
    usagePico,
    markupBasisPoints,
    markupPico: markup / BASIS_POINTS,
    totalCents: (total + cent / 2n) / cent,
  };
}
