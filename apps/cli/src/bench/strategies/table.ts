import type { Figure } from '../bench.js';
import { figure } from '../bench.js';
import type { Outcome } from './play.js';
import { CAPS_PICO } from './strategy.js';

const PICO_PER_USD = 1e12;
const usd = (pico: bigint) => Number(pico) / PICO_PER_USD;

/** What each strategy made of the same trace, as figures of one unit each. */
export function figuresOf(name: string, outcome: Outcome): readonly Figure[] {
  const of = (what: string, value: number, unit: string) => figure(`${name}: ${what}`, value, unit);
  return [
    of('served', outcome.served, 'calls'),
    of(`overshoot of a cap of ${usd(CAPS_PICO.tenant)} USD`, usd(outcome.overshootPico), 'USD'),
    of('refused although it would have fitted', outcome.phantomRefusals, `of ${outcome.refusals} refusals`),
    of('served and booked for nobody', usd(outcome.lostPico), 'USD'),
    of('booked beyond what was served, by estimate', usd(outcome.overbookedPico), 'USD'),
    of('still set aside at the end', usd(outcome.pinnedPico), 'USD'),
  ];
}
