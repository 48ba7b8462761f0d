import { identify } from '@reef/embedded';
import { Explained } from '../explained.js';
import type { Layout } from './layout.js';
import { writeState } from './state.js';
import { Supervised } from './supervised.js';
import type { Program } from './supervised.js';

// Nobody new comes in first; then those who work; then those whom everybody needs.
const stopOrder: readonly ((name: string) => boolean)[] = [
  (name) => name === 'edge',
  (name) => !['edge', 'simulator', 'nats', 'postgres'].includes(name),
  (name) => name === 'simulator',
  (name) => name === 'nats',
  (name) => name === 'postgres',
];

/** Everything a stack runs. Keeps REEF_HOME/state.json current, so that the next start finds what a killed one left. */
export class Keeper {
  readonly #all = new Map<string, Supervised>();
  readonly #stop = new AbortController();
  #stopped: Promise<void> | undefined;

  constructor(
    private readonly layout: Layout,
    private readonly baseUrl: string,
    private readonly say: (line: string) => void,
  ) {}

  get stopping(): boolean {
    return this.#stop.signal.aborted;
  }

  /** For work beside the kept programs that has to end with them. */
  get stopSignal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Starts a program and keeps it; resolves when it answers. */
  async start(program: Program): Promise<Supervised> {
    if (this.stopping) throw new Explained('stopped while starting');
    const supervised = new Supervised(program, { changed: () => this.record(), say: this.say });
    this.#all.set(program.name, supervised);
    await supervised.start();
    return supervised;
  }

  /** Ends everything, in order. Asked twice, it is the same end. */
  stop(): Promise<void> {
    this.#stop.abort();
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  /** For a second Ctrl-C: no more waiting. */
  killAll(): void {
    for (const { current } of this.#all.values()) {
      try {
        if (current?.process !== undefined) process.kill(current.process.pid, 'SIGKILL');
      } catch {
        // It has just ended by itself.
      }
    }
  }

  record(): void {
    const supervisor = identify(process.pid);
    if (supervisor === undefined) return;
    const services = [...this.#all.values()].map(({ program, current, restarts }) => ({
      name: program.name,
      process: current?.process,
      port: current?.port ?? 0,
      ...(program.readyPath === undefined ? {} : { readyPath: program.readyPath }),
      restarts,
    }));
    writeState(this.layout, { supervisor, baseUrl: this.baseUrl, services });
  }

  async #stopInOrder(): Promise<void> {
    for (const belongs of stopOrder) {
      const group = [...this.#all.values()].filter(({ program }) => belongs(program.name));
      await Promise.all(group.map((supervised) => supervised.stop()));
    }
  }
}
