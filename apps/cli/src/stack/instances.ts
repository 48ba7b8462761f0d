import { Explained } from '../explained.js';
import { statefulServices } from './services.js';
import type { StatefulService } from './services.js';

/** More of one service on one machine help nobody. */
const instancesMax = 9;
const single: Readonly<Record<string, string>> = {
  workspace: 'its files have one keeper at a time',
  edge: 'it has one port, and one address that clients know',
  simulator: 'its answers are counted in one place',
};

export type Instances = Readonly<Record<StatefulService, number>>;

/** How many processes of each service REEF_INSTANCES asks for, such as `budgets=3,dispatch=3`; one of those it does not name. */
export function instancesFrom(text: string | undefined): Instances {
  const instances = Object.fromEntries(statefulServices.map((name) => [name, 1])) as Record<StatefulService, number>;
  const named = new Set<string>();
  for (const part of (text ?? '').split(',').map((each) => each.trim())) {
    if (part === '') continue;
    const [, word = '', digits = ''] = /^([a-z]+)=(\d+)$/.exec(part) ?? [];
    if (word === '') throw wrong(`"${part}" is not of the form budgets=3`);
    const reason = Object.hasOwn(single, word) ? single[word] : undefined;
    if (reason !== undefined) throw wrong(`${word} runs once, since ${reason}`);
    const name = statefulServices.find((known) => known === word);
    if (name === undefined) throw wrong(`there is no service "${word}"; there are ${scalable().join(', ')}`);
    if (named.has(name)) throw wrong(`${name} is named twice`);
    named.add(name);
    const count = Number(digits);
    if (count < 1 || count > instancesMax)
      throw wrong(`${name} may have 1 to ${instancesMax} instances, not ${digits}`);
    instances[name] = count;
  }
  return instances;
}

export function totalOf(instances: Instances): number {
  return Object.values(instances).reduce((sum, count) => sum + count, 0);
}

/** The first has the service's own name: `budgets`, `budgets-2`, `budgets-3`. */
export function instanceNames(service: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? service : `${service}-${index + 1}`));
}

const scalable = () => statefulServices.filter((name) => !Object.hasOwn(single, name));
const wrong = (reason: string) => new Explained(`REEF_INSTANCES: ${reason}`);
