import type { Projection, Row } from './projection.js';
import type { TenantKeys } from './tenant-keys.js';

const place = (table: string, column: string) => `view.${table}|${column}`;

/** The row with its personal columns sealed. */
export function sealRow(
  keys: TenantKeys,
  tenant: string,
  projection: Pick<Projection<never, never>, 'table' | 'sealed'>,
  row: Row,
): Row {
  if (!projection.sealed) return row;
  const sealed = { ...row };
  for (const column of projection.sealed) {
    const text = row[column];
    if (typeof text === 'string') sealed[column] = keys.seal(tenant, place(projection.table, column), text);
  }
  return sealed;
}

export function openColumn(keys: TenantKeys, tenant: string, table: string, column: string, sealed: string): string {
  return keys.open(tenant, place(table, column), sealed);
}
