import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { openColumn } from './sealed-columns.js';
import type { TenantKeys } from './tenant-keys.js';

/** A service's read models, one tenant at a time. */
export class Views {
  constructor(
    private readonly orm: MikroORM,
    private readonly keys: TenantKeys,
  ) {}

  /** An entity manager whose every query carries the tenant, so that row-level security shows its rows only. */
  of(tenant: string): EntityManager {
    return this.orm.em.fork({ session: { variables: { 'app.tenant_ids': `{"${tenant}"}` } } }) as EntityManager;
  }

  /** The text of a sealed column; `erased` where the tenant's key is gone. */
  async open(tenant: string, table: string, column: string, sealed: string): Promise<string> {
    await this.keys.find([tenant]);
    return openColumn(this.keys, tenant, table, column, sealed);
  }
}
