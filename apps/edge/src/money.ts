const PICO_DIGITS = 12;
const PER_MILLION_DIGITS = 6;

/** USD as the API spells it: at most twelve decimals, never a float. */
export const USD_PATTERN = /^\d{1,18}(?:\.\d{1,12})?$/;
/** USD for a million tokens: one pico-USD a token is a millionth of a dollar here, hence six decimals. */
export const USD_PER_MILLION_PATTERN = /^\d{1,18}(?:\.\d{1,6})?$/;

/** `1500000000000n` → `"1.5"`. */
export const usdOf = (amountPico: bigint): string => decimal(amountPico, PICO_DIGITS);

/** `"1.5"` → `1500000000000n`; the text must match USD_PATTERN. */
export const picoOf = (usd: string): bigint => integer(usd, PICO_DIGITS);

/** An invoice's total: `1250n` → `"12.50"`. */
export const centsOf = (cents: bigint): string => {
  const text = cents.toString().padStart(3, '0');
  return `${text.slice(0, -2)}.${text.slice(-2)}`;
};

export const usdPerMillionOf = (picoPerToken: bigint): string => decimal(picoPerToken, PER_MILLION_DIGITS);
export const picoPerTokenOf = (usdPerMillion: string): bigint => integer(usdPerMillion, PER_MILLION_DIGITS);

function decimal(units: bigint, digits: number): string {
  const sign = units < 0n ? '-' : '';
  const text = (units < 0n ? -units : units).toString().padStart(digits + 1, '0');
  const fraction = text.slice(-digits).replace(/0+$/, '');
  return `${sign}${text.slice(0, -digits)}${fraction && `.${fraction}`}`;
}

function integer(text: string, digits: number): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(digits, '0'));
}
