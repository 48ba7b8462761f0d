/**
 * The value that a share of all values does not exceed (nearest rank).
 * @param share 0.5 is the median. NaN where there are no values.
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}
