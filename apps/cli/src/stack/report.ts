/** How a start tells what it does. */
export interface Report {
  /** Runs one step and shows its name and time when it is done. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  say(line: string): void;
  readonly steps: readonly { name: string; ms: number }[];
}

/** Each step is one line, written when it ends: they run side by side. */
export function lineReport(write: (line: string) => void): Report {
  const steps: { name: string; ms: number }[] = [];
  return {
    steps,
    say: write,
    async step(name, work) {
      const startedMs = performance.now();
      try {
        const result = await work();
        const ms = Math.round(performance.now() - startedMs);
        steps.push({ name, ms });
        write(`✓ ${name} (${(ms / 1000).toFixed(1)} s)`);
        return result;
      } catch (error) {
        write(`✗ ${name}`);
        throw error;
      }
    },
  };
}
