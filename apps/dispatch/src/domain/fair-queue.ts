/** 0: somebody waits at a screen; 1: another agent waits; 2: nobody does. A lower one goes first within its tenant. */
export type Priority = 0 | 1 | 2;

/** A turn that wants to run in a lane. */
export interface Waiting {
  readonly id: string;
  readonly tenant: string;
  readonly agent: string;
  readonly priority: Priority;
  /** The tenant's share against other tenants'; more than 0. */
  readonly weight: number;
  /** What it may use at most, weighted tokens; corrected when it is known. */
  readonly cost: number;
}

/** Tenants, and agents of a tenant, whose accounts are kept while they have nothing here. */
export const ACCOUNTS_KEPT_MAX = 10_000;

/** Somebody's virtual time: the service they were given, over their weight. The two together are their counter. */
interface Account {
  /** Of what has ended, as it was used. */
  settled: number;
  /** Of what runs, as it is estimated. */
  charged: number;
  waiting: number;
  running: number;
}

interface AgentAccount extends Account {
  /** By priority; in the order of arrival. */
  readonly queues: readonly [Map<string, Waiting>, Map<string, Waiting>, Map<string, Waiting>];
}

interface TenantAccount extends Account {
  weight: number;
  readonly agents: Level<AgentAccount>;
}

/** Accounts that are served by the smallest counter: all tenants of a lane, or all agents of a tenant. */
interface Level<Kind extends Account> {
  readonly all: Map<string, Kind>;
  readonly waiting: Set<Kind>;
  /** The most that anybody had settled who was served. */
  served: number;
}

interface Running {
  readonly of: Waiting;
  readonly tenant: TenantAccount;
  readonly agent: AgentAccount;
}

/**
 * Weighted fair queueing by virtual token counters (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024), first
 * among tenants, then among the agents of a tenant. The smallest counter is served; it is charged the whole estimate then, and
 * corrected by `settle`. Who comes back from having nothing here is lifted to what the others have settled (not to their counters:
 * those hold estimates, most of which are taken back), so absence earns no burst, and nobody pays for another's estimates.
 * Two tenants that both wait all the while differ in service ÷ weight by twice the largest charge ÷ weight that may be under way.
 *
 * Steps: `add` and `take` look at every tenant that waits (and at every agent of one tenant), the others are O(1).
 */
export class FairQueue<Request extends Waiting = Waiting> {
  readonly #tenants: Level<TenantAccount> = level();
  readonly #waiting = new Map<string, Request>();
  readonly #running = new Map<string, Running>();

  get waiting(): number {
    return this.#waiting.size;
  }

  get running(): number {
    return this.#running.size;
  }

  waitingOf(tenant: string): number {
    return this.#tenants.all.get(tenant)?.waiting ?? 0;
  }

  /** The part of the service that a tenant gets while all that wait now do, itself with this weight among them: 0 to 1. */
  shareOf(tenant: string, weight: number): number {
    const own = this.#tenants.all.get(tenant);
    let all = weight;
    for (const each of this.#tenants.waiting) if (each !== own) all += each.weight;
    return weight / all;
  }

  isWaiting(id: string): boolean {
    return this.#waiting.has(id);
  }

  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  /** Nothing happens to one that is here already. */
  add(request: Request): void {
    if (this.#waiting.has(request.id) || this.#running.has(request.id)) return;
    const { tenant, agent } = this.#accountsOf(request);
    awaitTurn(this.#tenants, tenant);
    awaitTurn(tenant.agents, agent);
    agent.queues[request.priority].set(request.id, request);
    this.#waiting.set(request.id, request);
  }

  /** Takes one out that waits, as if it had never come. */
  remove(id: string): void {
    const request = this.#waiting.get(id);
    if (request) this.#leave(request);
  }

  /** The one whose turn it is, which is running from now on; null when none waits. */
  take(): Request | null {
    const tenant = smallest(this.#tenants.waiting);
    if (!tenant) return null;
    const [agent, queue] = first(tenant);
    const [of] = queue.values();
    if (!of) throw new Error('an account that waits has nobody who does');
    const request = this.#waiting.get(of.id) as Request;
    this.#tenants.served = Math.max(this.#tenants.served, tenant.settled);
    tenant.agents.served = Math.max(tenant.agents.served, agent.settled);
    this.#leave(request);
    this.#start(request, tenant, agent);
    return request;
  }

  /** One that runs already, whoever let it: it counts and is charged like the others. */
  adopt(request: Request): void {
    if (this.#running.has(request.id)) return;
    this.remove(request.id);
    const { tenant, agent } = this.#accountsOf(request);
    this.#start(request, tenant, agent);
  }

  /** One that ran has ended. @param used weighted tokens; null where nobody knows: its estimate is taken. */
  settle(id: string, used: number | null): void {
    const ended = this.#running.get(id);
    if (!ended) return;
    this.#running.delete(id);
    const { of, tenant, agent } = ended;
    for (const [account, weight] of [
      [tenant, of.weight],
      [agent, 1],
    ] as const) {
      account.running--;
      // With nothing under way nothing is charged: no remainder of a division adds up.
      account.charged = account.running === 0 ? 0 : account.charged - of.cost / weight;
      account.settled += (used ?? of.cost) / weight;
    }
  }

  #start(request: Request, tenant: TenantAccount, agent: AgentAccount): void {
    tenant.charged += request.cost / request.weight;
    agent.charged += request.cost;
    tenant.running++;
    agent.running++;
    this.#running.set(request.id, { of: request, tenant, agent });
  }

  #leave(request: Request): void {
    const tenant = this.#tenants.all.get(request.tenant);
    const agent = tenant?.agents.all.get(request.agent);
    if (!tenant || !agent) return;
    this.#waiting.delete(request.id);
    agent.queues[request.priority].delete(request.id);
    if (--agent.waiting === 0) tenant.agents.waiting.delete(agent);
    if (--tenant.waiting === 0) this.#tenants.waiting.delete(tenant);
  }

  #accountsOf({ tenant: name, agent: agentName, weight }: Request) {
    const tenant = accountOf(this.#tenants, name, () => ({ ...nothing(), weight, agents: level<AgentAccount>() }));
    tenant.weight = weight;
    const agent = accountOf(tenant.agents, agentName, () => ({
      ...nothing(),
      queues: [new Map(), new Map(), new Map()] as const,
    }));
    return { tenant, agent };
  }
}

const nothing = (): Account => ({ settled: 0, charged: 0, waiting: 0, running: 0 });
const level = <Kind extends Account>(): Level<Kind> => ({ all: new Map(), waiting: new Set(), served: 0 });

const counterOf = ({ settled, charged }: Account) => settled + charged;

/** One more of this account waits; if it had none that did, it is lifted to those that wait, or to who was served last. */
function awaitTurn<Kind extends Account>(among: Level<Kind>, account: Kind): void {
  if (account.waiting++ > 0) return;
  let lowest = Infinity;
  for (const { settled } of among.waiting) lowest = Math.min(lowest, settled);
  account.settled = Math.max(account.settled, lowest === Infinity ? among.served : lowest);
  among.waiting.add(account);
}

/** Of equal ones the first that came. */
function smallest<Kind extends Account>(accounts: Iterable<Kind>): Kind | null {
  let found: Kind | null = null;
  for (const account of accounts) if (!found || counterOf(account) < counterOf(found)) found = account;
  return found;
}

/** Of a tenant's agents with the most urgent that wait, the one with the smallest counter. */
function first(tenant: TenantAccount): [AgentAccount, Map<string, Waiting>] {
  for (const priority of [0, 1, 2] as const) {
    let found: AgentAccount | null = null;
    for (const agent of tenant.agents.waiting)
      if (agent.queues[priority].size > 0 && (!found || counterOf(agent) < counterOf(found))) found = agent;
    if (found) return [found, found.queues[priority]];
  }
  throw new Error('a tenant that waits has no agent that does');
}

/** Accounts that would be lifted anyway are forgotten when there are too many, then any that have nothing here. */
function accountOf<Kind extends Account>(among: Level<Kind>, name: string, open: () => Kind): Kind {
  const known = among.all.get(name);
  if (known) return known;
  if (among.all.size >= ACCOUNTS_KEPT_MAX) {
    const idle = [...among.all].filter(([, { waiting, running }]) => waiting + running === 0);
    const owesNothing = idle.filter(([, { settled }]) => settled <= among.served);
    for (const [each] of owesNothing.length > 0 ? owesNothing : idle) among.all.delete(each);
  }
  const opened = open();
  among.all.set(name, opened);
  return opened;
}
