import { boundPico, CAPS_PICO, costPico, type Death, type Scope, type Strategy } from './strategy.js';
import type { Call, Trace } from './trace.js';

/** What a strategy made of a trace, against what the provider really served. Money in pico-USD. */
export interface Outcome {
  readonly served: number;
  /** Refused, not told to wait. */
  readonly refusals: number;
  /** Of them, while the whole bound would have fitted under every cap, whatever the calls under way still took. */
  readonly phantomRefusals: number;
  readonly servedPico: bigint;
  /** How far the provider's bill is beyond the tenant's cap. */
  readonly overshootPico: bigint;
  /** Served, and booked for nobody. */
  readonly lostPico: bigint;
  /** Booked beyond what was served, where it had to be estimated. */
  readonly overbookedPico: bigint;
  /** Still set aside five minutes after the last call. */
  readonly pinnedPico: bigint;
}

interface Running {
  readonly call: Call;
  readonly startedMs: number;
  readonly outputTokensMax: number;
}

const TICK_MS = 1_000;
const RETRY_AFTER_REFUSAL_MS = 2_000;
/** How long a client that is told to wait goes on, ms. */
const PATIENCE_MS = 60_000;
/** What a call has put out is told this often. */
const TOLD_EVERY_MS = 250;

/** Plays a trace against a strategy in virtual time. */
export function play(trace: Trace, strategy: Strategy, caps = CAPS_PICO): Outcome {
  const agenda = new Agenda();
  const running = new Map<string, Running>();
  const deaths: Death[] = [];
  const servedOf = new Map<string, bigint>();
  const used = { key: 0n, tenant: 0n };
  let [refusals, phantomRefusals] = [0, 0];

  const outputAt = ({ call, startedMs, outputTokensMax }: Running, atMs: number) => {
    const share = Math.min(1, Math.max(0, atMs - startedMs) / call.durationMs);
    return Math.min(outputTokensMax, Math.floor(share * call.takes.output));
  };
  const end = (one: Running, atMs: number) => {
    const { call } = one;
    running.delete(call.id);
    const cost = costPico({ input: call.takes.input, output: outputAt(one, atMs) });
    servedOf.set(call.id, cost);
    for (const scope of call.scopes) used[scope] += cost;
  };
  const wouldFit = (call: Call) =>
    call.scopes.every((scope) => used[scope] + committedOn(running.values(), scope) + boundPico(call) <= caps[scope]);

  const begin = (call: Call, atMs: number, tries: number) => {
    const answer = strategy.reserve(call, atMs);
    if (!answer.granted) {
      if (answer.retryAfterMs !== undefined) {
        const nextMs = atMs + answer.retryAfterMs;
        if (nextMs <= call.atMs + PATIENCE_MS) agenda.add(nextMs, (nowMs) => begin(call, nowMs, tries));
        return;
      }
      refusals += 1;
      if (wouldFit(call)) phantomRefusals += 1;
      if (tries < call.triesMax) agenda.add(atMs + RETRY_AFTER_REFUSAL_MS, (nowMs) => begin(call, nowMs, tries + 1));
      return;
    }
    const one = { call, startedMs: atMs, outputTokensMax: answer.outputTokensMax };
    running.set(call.id, one);
    agenda.add(atMs + call.durationMs, (nowMs) => {
      if (running.get(call.id) !== one) return;
      end(one, nowMs);
      strategy.completed(call.id, { input: call.takes.input, output: outputAt(one, nowMs) }, nowMs);
    });
    if (call.leavesAfterMs === undefined) return;
    agenda.add(atMs + call.leavesAfterMs, (nowMs) => {
      if (running.get(call.id) !== one) return;
      end(one, nowMs);
      strategy.hungUp(call.id, outputAt(one, nowMs), nowMs);
    });
  };
  const die = (worker: number, atMs: number) => {
    const lost = [...running.values()].filter(({ call }) => call.worker === worker);
    const told = (one: Running) => outputAt(one, Math.floor(atMs / TOLD_EVERY_MS) * TOLD_EVERY_MS);
    deaths.push({ diedAtMs: atMs, calls: lost.map((one) => ({ id: one.call.id, outputTokensTold: told(one) })) });
    for (const one of lost) end(one, atMs);
  };

  for (const call of trace.calls) agenda.add(call.atMs, (nowMs) => begin(call, nowMs, 1));
  for (const { worker, atMs } of trace.deaths) agenda.add(atMs, (nowMs) => die(worker, nowMs));
  for (let atMs = TICK_MS; atMs <= trace.endsAtMs; atMs += TICK_MS)
    agenda.add(atMs, (nowMs) => strategy.tick(nowMs, deaths));
  agenda.run();

  let [lostPico, overbookedPico] = [0n, 0n];
  for (const { id } of trace.calls) {
    const difference = (servedOf.get(id) ?? 0n) - strategy.bookedPico(id);
    if (difference > 0n) lostPico += difference;
    else overbookedPico -= difference;
  }
  const overshootPico = used.tenant > caps.tenant ? used.tenant - caps.tenant : 0n;
  const pinnedPico = strategy.heldPico();
  const servedPico = used.tenant;
  return {
    served: servedOf.size,
    refusals,
    phantomRefusals,
    servedPico,
    overshootPico,
    lostPico,
    overbookedPico,
    pinnedPico,
  };
}

/** What calls under way may still come to. */
function committedOn(running: Iterable<Running>, scope: Scope): bigint {
  let sum = 0n;
  for (const { call } of running) if (call.scopes.includes(scope)) sum += boundPico(call);
  return sum;
}

/** What is due when; what is due together goes in the order it was added. */
class Agenda {
  readonly #due = new Map<number, ((nowMs: number) => void)[]>();
  #lastMs = 0;

  add(atMs: number, work: (nowMs: number) => void): void {
    const at = Math.ceil(atMs);
    this.#due.set(at, [...(this.#due.get(at) ?? []), work]);
    this.#lastMs = Math.max(this.#lastMs, at);
  }

  run(): void {
    for (let nowMs = 0; nowMs <= this.#lastMs; nowMs += 1) {
      // Work may add to its own millisecond.
      for (let works = this.#due.get(nowMs); works !== undefined; works = this.#due.get(nowMs)) {
        this.#due.delete(nowMs);
        for (const work of works) work(nowMs);
      }
    }
  }
}
