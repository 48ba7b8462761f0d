import { readable } from '../stack/last-words.js';

/** What a service says of its replay, as one line of JSON. */
export interface ReplayReport {
  readonly service: string;
  readonly check: boolean;
  readonly events: number;
  readonly rows: number;
  readonly durationMs: number;
  readonly differences: readonly string[];
}

/** A replay that has ended: with its report, or without one. */
export type Outcome = ReplayReport | { readonly service: string; readonly check: boolean; readonly failed: string };

const differencesShownMax = 20;
const widths = [10, 10, 10, 9, 13];

/** Reads what a service's replay printed; one that printed no report has failed, and its last words say why. */
export function outcomeOf(service: string, check: boolean, output: string): Outcome {
  for (const line of output.trimEnd().split('\n').reverse()) {
    const report = parse(line);
    if (report !== undefined) return report;
  }
  return { service, check, failed: readable(output.trimEnd()) || 'it ended without a word' };
}

export const heading = columns(['service', 'events', 'rows', 'seconds', 'differences']);

/** One row of the table, and below it what differs or went wrong. */
export function rowOf(outcome: Outcome): string {
  if ('failed' in outcome) return `${outcome.service.padEnd(widths[0] ?? 0)}  failed: ${outcome.failed}`;
  const { service, events, rows, durationMs, differences } = outcome;
  const shown = differences.slice(0, differencesShownMax).map((difference) => `  ${difference}`);
  const more = differences.length - shown.length;
  return [
    columns([service, String(events), String(rows), (durationMs / 1000).toFixed(1), String(differences.length)]),
    ...shown,
    ...(more > 0 ? [`  … and ${more} more; --json lists them`] : []),
  ].join('\n');
}

/** The last line: what was compared or rebuilt, and how it came out. */
export function verdictOf(outcomes: readonly Outcome[], check: boolean): string {
  const failed = outcomes.filter((outcome) => 'failed' in outcome);
  const done = outcomes.filter((outcome): outcome is ReplayReport => !('failed' in outcome));
  const different = done.filter(({ differences }) => differences.length > 0);
  const parts = [
    check || done.length === 0 ? '' : `the read models of ${names(done)} were rebuilt from the events`,
    different.length === 0 ? '' : `what differed in ${names(different)} stands above`,
    failed.length === 0 ? '' : `the replay of ${names(failed)} failed`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'no difference' : parts.join('; ');
}

function names(outcomes: readonly Outcome[]): string {
  return outcomes.map(({ service }) => service).join(', ');
}

/** Names to the left, numbers to the right. */
function columns(cells: readonly string[]): string {
  return cells
    .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
    .join('');
}

function parse(line: string): ReplayReport | undefined {
  try {
    const value = JSON.parse(line) as Partial<ReplayReport>;
    return Array.isArray(value.differences) ? (value as ReplayReport) : undefined;
  } catch {
    return undefined; // A line of something else.
  }
}
