import { defineEntity, p } from '@mikro-orm/core';
import { Migration } from '@mikro-orm/migrations';
import { Controller, Module } from '@nestjs/common';
import type { EventOf, InputOf, TenantContext } from '@reef/contracts';
import { aggregate, type Decider, EventStore, refuse, unreachable, viewTable } from '@reef/eventing';
import { Command } from '@reef/messaging';
import { ReefModule, type ServiceDefinition } from '@reef/service';
import { z } from 'zod';
import { command, event, service } from '@reef/contracts/declare';
import { personal, picoUsd } from '@reef/contracts/values';

/** A purse: the smallest service that has money, personal text, a limit and a read model. */
export const purses = service('purses', {
  commands: {
    put: command({
      input: z.strictObject({ purse: z.string(), amountPico: picoUsd, note: z.string() }),
      output: z.object({ balancePico: picoUsd }),
    }),
    take: command({
      input: z.strictObject({ purse: z.string(), amountPico: picoUsd }),
      output: z.object({ balancePico: picoUsd }),
      refusals: ['too_little'],
    }),
    move: command({
      input: z.strictObject({ from: z.string(), to: z.string(), amountPico: picoUsd }),
      output: z.object({ moved: z.boolean() }),
      refusals: ['too_little'],
    }),
  },
  queries: {},
  events: {
    Put: event(z.object({ amountPico: picoUsd, note: personal(z.string()) }), {
      schemaVersion: 2,
      // Version 1 counted whole dollars.
      upcast: { 1: ({ dollars, ...rest }) => ({ ...rest, amountPico: `${String(dollars)}000000000000` }) },
    }),
    Taken: event(z.object({ amountPico: picoUsd })),
  },
});

type PurseEvent = EventOf<typeof purses>;
export interface PurseState {
  readonly balancePico: bigint;
  readonly notes: readonly string[];
}
type PurseCommand =
  { type: 'put'; data: { amountPico: bigint; note: string } } | { type: 'take'; data: { amountPico: bigint } };

const decider: Decider<PurseState, PurseCommand, PurseEvent, 'too_little'> = {
  initial: { balancePico: 0n, notes: [] },
  decide(command, state) {
    switch (command.type) {
      case 'put':
        return [{ type: 'Put', data: command.data }];
      case 'take':
        if (command.data.amountPico > state.balancePico) {
          return refuse('too_little', 'not that much is there', { balancePico: state.balancePico.toString() });
        }
        return [{ type: 'Taken', data: command.data }];
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'Put':
        return {
          balancePico: state.balancePico + event.data.amountPico,
          notes: [...state.notes, event.data.note].slice(-3),
        };
      case 'Taken':
        return { ...state, balancePico: state.balancePico - event.data.amountPico };
      default:
        return unreachable(event);
    }
  },
};

export const purse = aggregate({
  name: 'purse',
  decider,
  events: { Put: purses.events.Put, Taken: purses.events.Taken },
  snapshotEvery: 10,
  projections: [
    {
      table: 'purses',
      key: ['purse'],
      sealed: ['last_note'],
      rows: ({ stream, state }) => [
        {
          upsert: {
            purse: stream.slice('purse/'.length),
            balance_pico: state.balancePico,
            last_note: state.notes.at(-1) ?? null,
          },
        },
      ],
    },
  ],
});

export const PurseRow = defineEntity({
  name: 'PurseRow',
  tableName: 'purses',
  schema: 'view',
  properties: {
    tenantId: p.string().primary(),
    purse: p.string().primary(),
    balancePico: p.string(),
    lastNote: p.string().nullable(),
  },
});

class Purses001 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'purses',
        'purse text collate "C" not null, balance_pico numeric not null, last_note text, primary key (tenant_id, purse)',
      ),
    );
  }
}

@Controller()
export class PurseCommands {
  constructor(private readonly store: EventStore) {}

  @Command(purses.commands.put)
  async put(input: InputOf<typeof purses.commands.put>, context: TenantContext) {
    return this.store.execute(purse, {
      tenant: context.tenant,
      stream: `purse/${input.purse}`,
      command: { type: 'put', data: { amountPico: input.amountPico, note: input.note } },
      context,
      reply: ({ balancePico }) => ({ balancePico }),
    });
  }

  @Command(purses.commands.take)
  async take(input: InputOf<typeof purses.commands.take>, context: TenantContext) {
    return this.store.execute(purse, {
      tenant: context.tenant,
      stream: `purse/${input.purse}`,
      command: { type: 'take', data: { amountPico: input.amountPico } },
      context,
      reply: ({ balancePico }) => ({ balancePico }),
    });
  }

  @Command(purses.commands.move)
  async move(input: InputOf<typeof purses.commands.move>, context: TenantContext) {
    const { tenant } = context;
    return this.store.executeAll<{ moved: boolean }>(
      [
        {
          aggregate: purse,
          tenant,
          stream: `purse/${input.to}`,
          command: { type: 'put', data: { amountPico: input.amountPico, note: 'moved' } },
        },
        {
          aggregate: purse,
          tenant,
          stream: `purse/${input.from}`,
          command: { type: 'take', data: { amountPico: input.amountPico } },
        },
      ],
      { context, reply: () => ({ moved: true }) },
    ) as ReturnType<PurseCommands['moveResult']>;
  }

  /** Names the type that `move` answers with. */
  declare private readonly moveResult: () => Promise<import('@reef/contracts').ResultOf<typeof purses.commands.move>>;
}

export const definition: ServiceDefinition = {
  name: 'purses',
  aggregates: [purse],
  entities: [PurseRow],
  migrations: [{ name: '001-purses', class: Purses001 }],
};

@Module({ imports: [ReefModule.for(definition)], controllers: [PurseCommands] })
export class PursesModule {}
