import { Module } from '@nestjs/common';
import { ReefModule, type ServiceDefinition } from '@reef/service';
import { Books } from './books.js';
import { BudgetsCommands } from './budgets.commands.js';
import { BudgetsQueries } from './budgets.queries.js';
import { migrations } from './migrations/index.js';
import { Leases } from './leases.js';
import { PlanCatalogue } from './plan-catalogue.js';
import { PriceList } from './price-list.js';
import { LedgerRow } from './projections/ledger.js';
import { MonthRow } from './projections/months.js';
import { EndDeadTurns } from './reactions/end-dead-turns.js';
import { OpenTenant } from './reactions/open-tenant.js';
import { monthlyBooks, plans, prices } from './streams.js';
import { Sweeper } from './sweeper.js';
import { Deliveries } from './webhooks/deliveries.js';
import { WebhookSender } from './webhooks/sender.js';
import { webhookEndpoints } from './webhooks/stream.js';
import { TellWebhooks } from './webhooks/tell-webhooks.js';
import { WebhookRequests } from './webhooks/webhooks.requests.js';

export const definition: ServiceDefinition = {
  name: 'budgets',
  aggregates: [monthlyBooks, prices, plans, webhookEndpoints],
  entities: [LedgerRow, MonthRow],
  migrations,
};

@Module({
  imports: [ReefModule.for(definition)],
  controllers: [BudgetsCommands, BudgetsQueries, OpenTenant, EndDeadTurns, WebhookRequests, TellWebhooks],
  providers: [Books, Leases, PlanCatalogue, PriceList, Sweeper, Deliveries, WebhookSender],
})
export class BudgetsModule {}
