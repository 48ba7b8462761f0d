import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { type InputOf, type budgets, type Plan, PLATFORM, type Result, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { newId } from '@reef/messaging';
import { environment, serviceContext } from '@reef/service';
import { z } from 'zod';
import { SHIPPED_PLANS, STARTER } from './domain/plan.js';
import type { PlanList } from './domain/plan-list.js';
import { PLAN_LIST, plans } from './streams.js';

/** The plans that operators can assign, and the one that a tenant begins with. */
@Injectable()
export class PlanCatalogue implements OnApplicationBootstrap {
  readonly #starting = environment(z.object({ REEF_DEFAULT_PLAN: z.string().default(STARTER.plan) })).REEF_DEFAULT_PLAN;

  constructor(private readonly store: EventStore) {}

  /** Publishes the shipped plans that are not there. Waits for the database, as every command does. */
  async onApplicationBootstrap(): Promise<void> {
    const seeded = await this.store.execute(plans, {
      tenant: PLATFORM,
      stream: PLAN_LIST,
      command: { type: 'seed', data: { plans: SHIPPED_PLANS, nowMs: Date.now() } },
      context: serviceContext(PLATFORM, 'budgets', newId()),
      reply: (known) => known.has(this.#starting),
    });
    if (!seeded.ok) throw new Error(`the plans could not be published: ${seeded.message}`);
    if (!seeded.value) throw new Error(`REEF_DEFAULT_PLAN names no plan: ${this.#starting}`);
  }

  publish(
    context: TenantContext,
    { plans: given }: InputOf<typeof budgets.commands.publishPlans>,
  ): Promise<Result<Record<string, never>>> {
    return this.store.execute(plans, {
      tenant: PLATFORM,
      stream: PLAN_LIST,
      command: { type: 'publish', data: { plans: given, nowMs: Date.now() } },
      context,
      reply: () => ({}),
    });
  }

  async all(): Promise<PlanList> {
    return (await this.store.load(plans, PLATFORM, PLAN_LIST)).state;
  }

  async planOf(plan: string): Promise<Plan | undefined> {
    return (await this.all()).get(plan);
  }

  async startingPlan(): Promise<Plan> {
    return (await this.planOf(this.#starting)) ?? STARTER;
  }
}
