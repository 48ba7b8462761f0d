import { defineEntity } from '@mikro-orm/core';
import type { Projection } from '@reef/eventing/pure';
import type { Budget, BudgetEvent } from '../domain/budget.js';

export const MonthRow = defineEntity({
  name: 'MonthRow',
  tableName: 'months',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    month: p.string().primary(),
    openedAt: p.datetime(),
  }),
});

/** Which months of a tenant have books: a tenant that slept for half a year carries on from the last. */
export const months: Projection<Budget, BudgetEvent> = {
  table: 'months',
  key: ['month'],
  rows: ({ events }) =>
    events
      .filter((event) => event.type === 'WindowOpened')
      .map(({ data }) => ({ upsert: { month: data.window, opened_at: data.openedAt } })),
};
