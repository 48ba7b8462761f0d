import type { FeedEvent } from '@reef/messaging';
import { metrics } from '@opentelemetry/api';

/** After this long without an event, ms, a service is quiet and not behind. */
const QUIET_AFTER_MS = 10_000;

/** How far telemetry is behind each service: from an event's commit to its being folded. */
export class FeedLag {
  readonly #newest = new Map<string, { lagMs: number; atMs: number }>();
  /** Since when events cannot be folded. */
  #failingSinceMs: number | null = null;
  readonly #meter = metrics.getMeter('reef');
  readonly #histogram = this.#meter.createHistogram('reef_commit_to_projection_ms', {
    description: 'From an event’s commit to its being folded by telemetry; the oldest event of each batch',
    advice: { explicitBucketBoundaries: [1, 2, 5, 10, 15, 20, 30, 50, 100, 250, 1_000, 5_000, 30_000] },
  });
  readonly #folded = this.#meter.createCounter('reef_events_folded', { description: 'Events written to the audit' });
  readonly #unreadable = this.#meter.createCounter('reef_events_unreadable', {
    description: 'Events that do not match their contract: audited, but in no cost or turn',
  });

  constructor() {
    this.#meter
      .createObservableGauge('reef_feed_lag_ms', { description: 'How far telemetry is behind a service’s commits' })
      .addCallback((result) => {
        for (const service of this.#newest.keys()) result.observe(this.of(service), { from: service });
      });
  }

  /** ms; grows while folding fails. */
  of(service: string, nowMs = Date.now()): number {
    const newest = this.#newest.get(service);
    if (!newest) return 0;
    if (this.#failingSinceMs !== null) return newest.lagMs + nowMs - this.#failingSinceMs;
    return nowMs - newest.atMs > QUIET_AFTER_MS ? 0 : newest.lagMs;
  }

  folded(events: readonly FeedEvent[], unreadable: readonly FeedEvent[], nowMs = Date.now()): void {
    this.#failingSinceMs = null;
    const oldest = new Map<string, { ms: number; count: number }>();
    for (const { service, occurredAt } of events) {
      const known = oldest.get(service) ?? { ms: Infinity, count: 0 };
      oldest.set(service, { ms: Math.min(known.ms, Date.parse(occurredAt)), count: known.count + 1 });
    }
    for (const [service, { ms, count }] of oldest) {
      const lagMs = Math.max(0, nowMs - ms);
      this.#newest.set(service, { lagMs, atMs: nowMs });
      this.#histogram.record(lagMs, { from: service });
      this.#folded.add(count, { from: service });
    }
    for (const { service } of unreadable) this.#unreadable.add(1, { from: service });
  }

  failed(nowMs = Date.now()): void {
    this.#failingSinceMs ??= nowMs;
  }
}
