import { Module } from '@nestjs/common';
import { ContextSigner } from '@reef/messaging';
import { environment, ReefModule, type ServiceDefinition } from '@reef/service';
import { z } from 'zod';
import { agentAggregate, sessionAggregate } from './aggregates.js';
import { AgentCommands } from './agents.commands.js';
import { ConversationQueries } from './conversations.queries.js';
import { LANE_BOUNDS, LANE_RUNNING_MAX } from './domain/lane.js';
import { NativeEngine } from './engines/native-engine.js';
import { type Providers, providersFromEnvironment } from './engines/providers.js';
import { LanePost } from './lanes/lane-post.js';
import { Lanes } from './lanes/lanes.js';
import { Leases } from './lanes/leases.js';
import { OwnedLanes } from './lanes/owned-lanes.js';
import { TenantWeights } from './lanes/tenant-weights.js';
import { workerNamed } from './lanes/worker-name.js';
import { migrations } from './migrations/index.js';
import { AgentRow } from './projections/agents.js';
import { SessionRow } from './projections/sessions.js';
import { TurnRow } from './projections/turns.js';
import { TenantReactions } from './reactions/tenants.js';
import { BOUNDS, ENGINE, PROVIDERS, WORKER } from './tokens.js';
import { TurnCommands } from './turns.commands.js';
import { KnownAgents } from './turns/known-agents.js';
import { Liveness } from './turns/liveness.js';
import { OpenCalls } from './turns/open-calls.js';
import { SessionOrder } from './turns/session-order.js';
import { Surroundings } from './turns/surroundings.js';
import { TurnContexts } from './turns/turn-contexts.js';
import { TurnInputs } from './turns/turn-inputs.js';
import { TurnRuns } from './turns/turn-runs.js';
import { Turns } from './turns/turns.js';

export const definition: ServiceDefinition = {
  name: 'dispatch',
  aggregates: [agentAggregate, sessionAggregate],
  entities: [AgentRow, SessionRow, TurnRow],
  migrations,
};

/** The key under which dispatch vouches for turns that outlive their request. */
const signing = z.object({ CONTEXT_SIGNING_KEY_FILE: z.string().min(1) });

/** Turns that run at once with one model, over all processes: less, where a provider's contract says less. */
const lanes = z.object({ REEF_LANE_RUNNING_MAX: z.coerce.number().int().min(1).max(10_000).default(LANE_RUNNING_MAX) });

/**
 * The place that a supervisor keeps one process in: who starts there knows that its predecessor is dead. Absent where nobody warrants it.
 */
const place = z.object({
  REEF_INSTANCE: z
    .string()
    .regex(/^[\w.-]{1,60}$/)
    .optional(),
});

@Module({
  imports: [ReefModule.for(definition)],
  controllers: [AgentCommands, TurnCommands, ConversationQueries, TenantReactions],
  providers: [
    { provide: PROVIDERS, useFactory: () => providersFromEnvironment(process.env) },
    { provide: ENGINE, inject: [PROVIDERS], useFactory: (providers: Providers) => new NativeEngine(providers) },
    { provide: WORKER, useFactory: () => workerNamed(environment(place).REEF_INSTANCE) },
    {
      provide: ContextSigner,
      useFactory: () => ContextSigner.fromFile('dispatch', environment(signing).CONTEXT_SIGNING_KEY_FILE),
    },
    {
      provide: BOUNDS,
      useFactory: () => ({ ...LANE_BOUNDS, runningMax: environment(lanes).REEF_LANE_RUNNING_MAX }),
    },
    LanePost,
    Leases,
    OwnedLanes,
    Lanes,
    TenantWeights,
    KnownAgents,
    OpenCalls,
    SessionOrder,
    Surroundings,
    TurnContexts,
    TurnInputs,
    TurnRuns,
    Turns,
    Liveness,
  ],
})
export class DispatchModule {}
