import { type LiveFrame, pressure, rateStanding, type Refusal } from '@reef/contracts';
import { z } from 'zod';

type Admitted = Extract<LiveFrame, { type: 'admitted' }>;

const MINUTE_S = 60;
const NAMES = { requestsPerMinute: 'requests', tokensPerMinute: 'tokens', concurrentTurns: 'turns' } as const;

/**
 * How near a tenant is to its caps and what its rates leave, as headers: OpenAI's names, which clients know, and those of
 * draft-ietf-httpapi-ratelimit-headers-10. Rates that the plan does not limit have none.
 */
export function admissionHeaders({ pressure, rates }: Pick<Admitted, 'pressure' | 'rates'>): Record<string, string> {
  const headers: Record<string, string> = {
    'x-reef-pressure': pressure.step,
    'x-reef-utilisation': pressure.utilisation.toFixed(3),
  };
  for (const { rate, cap, left, resetMs } of rates) {
    const name = NAMES[rate];
    headers[`x-ratelimit-limit-${name}`] = String(cap);
    headers[`x-ratelimit-remaining-${name}`] = String(left);
    if (rate !== 'concurrentTurns') headers[`x-ratelimit-reset-${name}`] = `${Math.ceil(resetMs / 1_000)}s`;
  }
  const perMinute = rates.filter(({ rate }) => rate !== 'concurrentTurns');
  if (perMinute.length > 0) {
    headers['ratelimit-policy'] = perMinute
      .map(({ rate, cap }) => `"${NAMES[rate]}";q=${cap};w=${MINUTE_S}`)
      .join(', ');
    headers['ratelimit'] = perMinute
      .map(({ rate, left, resetMs }) => `"${NAMES[rate]}";r=${left};t=${Math.ceil(resetMs / 1_000)}`)
      .join(', ');
  }
  return headers;
}

const rated = z.object({
  rate: rateStanding.shape.rate,
  cap: rateStanding.shape.cap,
  retryAfterMs: z.number().optional(),
});

/** What a refusal knows of the same: which rate was full and until when, or how near to a cap the tenant was held back. */
export function refusalHeaders({ code, details }: Refusal): Record<string, string> {
  switch (code) {
    case 'budget_exhausted':
      return { 'x-reef-pressure': 'refused' satisfies Admitted['pressure']['step'] };
    case 'paced': {
      const held = pressure.safeParse(details);
      return held.success ? admissionHeaders({ pressure: held.data, rates: [] }) : {};
    }
    case 'rate_limited':
    case 'call_too_large': {
      const full = rated.safeParse(details);
      if (!full.success) return {};
      const { rate, cap, retryAfterMs } = full.data;
      const name = NAMES[rate];
      return {
        [`x-ratelimit-limit-${name}`]: String(cap),
        // Of tokens something may be left, and too little.
        ...(code === 'rate_limited' && rate !== 'tokensPerMinute' && { [`x-ratelimit-remaining-${name}`]: '0' }),
        ...(retryAfterMs !== undefined &&
          rate !== 'concurrentTurns' && { [`x-ratelimit-reset-${name}`]: `${Math.ceil(retryAfterMs / 1_000)}s` }),
      };
    }
    default:
      return {};
  }
}
