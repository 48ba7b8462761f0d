// One USD a million tokens is a million pico-USD a token.
const DECIMALS = 6;

/**
 * A price in USD per million tokens, as its decimal text, in pico-USD per token. Exact up to six decimals; what is finer is
 * rounded up, so that nothing is ever sold below its price.
 */
export function picoPerToken(usdPerMillionTokens: string): bigint {
  const parts = /^(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(usdPerMillionTokens);
  if (!parts) throw new RangeError(`not a price: ${usdPerMillionTokens}`);
  const [, whole = '', fraction = '', exponent = '0'] = parts;
  const digits = BigInt(whole + fraction);
  const shift = DECIMALS - fraction.length + Number(exponent);
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return (digits + divisor - 1n) / divisor;
}
