import { Migration } from '@mikro-orm/migrations';
import { viewTable } from '@reef/eventing';

class Identity001 extends Migration {
  override up(): void {
    this.addSql(viewTable('tenants', `status text not null, created_at timestamptz not null, primary key (tenant_id)`));
    this.addSql(
      viewTable(
        'members',
        `user_id uuid not null, email text not null, role text not null, joined_at timestamptz not null,
         primary key (tenant_id, user_id)`,
      ),
    );
    this.addSql(
      viewTable(
        'api_keys',
        `key_id text not null, name text not null, role text not null, created_by text not null,
         created_at timestamptz not null, expires_at timestamptz, revoked_at timestamptz,
         primary key (tenant_id, key_id)`,
      ),
    );
    this.addSql(`create index api_keys_newest on view.api_keys (tenant_id, created_at desc, key_id desc)`);
  }
}

export const migrations = [{ name: '001-identity', class: Identity001 }];
