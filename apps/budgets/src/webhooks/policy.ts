import { environment, type OutboundPolicy } from '@reef/service';
import { z } from 'zod';

/** `REEF_WEBHOOKS_ALLOW_INSECURE=true`, for tests and development: endpoints may be of http and of this machine. */
export function webhookPolicy(): Required<OutboundPolicy> {
  const { REEF_WEBHOOKS_ALLOW_INSECURE } = environment(
    z.object({ REEF_WEBHOOKS_ALLOW_INSECURE: z.stringbool().default(false) }),
  );
  return { allowInsecure: REEF_WEBHOOKS_ALLOW_INSECURE };
}
