import { type budgets, type EventOf, type Plan, type RefusalOf } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';
import { checkedPlan } from './plan.js';

type PlansPublished = EventOf<typeof budgets, 'PlansPublished'>;

/** The plans that can be assigned today, by id. */
export type PlanList = ReadonlyMap<string, Plan>;

/** `seed` publishes what is not there and leaves alone what an operator made of the others. */
export interface PlanListCommand {
  readonly type: 'publish' | 'seed';
  readonly data: { readonly plans: readonly Plan[]; readonly nowMs: number };
}

export const planList: Decider<
  PlanList,
  PlanListCommand,
  PlansPublished,
  RefusalOf<typeof budgets.commands.publishPlans>
> = {
  initial: new Map(),

  decide(command, state) {
    switch (command.type) {
      case 'seed': {
        const missing = command.data.plans.filter(({ plan }) => !state.has(plan));
        return missing.length > 0
          ? planList.decide({ type: 'publish', data: { ...command.data, plans: missing } }, state)
          : [];
      }
      case 'publish': {
        const named = new Set<string>();
        const news: Plan[] = [];
        for (const given of command.data.plans) {
          if (named.has(given.plan)) return refuse('plan_repeated', 'a plan is named twice', { plan: given.plan });
          named.add(given.plan);
          const checked = checkedPlan(given);
          if ('ok' in checked) return checked;
          if (textOf(checked) !== textOf(state.get(checked.plan))) news.push(checked);
        }
        if (news.length === 0) return [];
        const publishedAt = new Date(command.data.nowMs).toISOString();
        return [{ type: 'PlansPublished', data: { plans: news, publishedAt } }];
      }
      default:
        return unreachable(command.type);
    }
  },

  evolve(state, { data: { plans } }) {
    return new Map([...state, ...plans.map((plan) => [plan.plan, plan] as const)]);
  },
};

function textOf(plan: Plan | undefined): string {
  return JSON.stringify(plan, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
}
