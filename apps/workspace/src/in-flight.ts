import type { TenantContext } from '@reef/contracts';

/**
 * A request without an answer is sent again every few seconds under the same id, so long work is asked for many times. The later ones
 * wait for the first one's answer instead of doing the work again; what comes after that is answered by the event store.
 */
export class InFlight {
  readonly #running = new Map<string, Promise<unknown>>();

  /** Of one caller, `work` must always be of one kind: it is told apart by tenant, command id and input. */
  async join<T>(context: TenantContext, work: () => Promise<T>): Promise<T> {
    const key = JSON.stringify([context.tenant, context.commandId, context.fingerprint]);
    const running = this.#running.get(key) as Promise<T> | undefined;
    if (running) return running;
    const started = work();
    this.#running.set(key, started);
    try {
      return await started;
    } finally {
      this.#running.delete(key);
    }
  }
}
