import type { LiveFrame } from '@reef/contracts';

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
