import { Migration } from '@mikro-orm/migrations';
import { type NamedMigration, viewTable } from '@reef/eventing';
import { Webhooks003 } from '../webhooks/migration.js';

class Ledger001 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'ledger',
        `month text collate "C" not null,
         reservation_id uuid not null,
         status text not null,
         attribution jsonb not null,
         held_pico numeric not null,
         cost_pico numeric,
         usage jsonb,
         estimated boolean not null,
         reserved_at timestamptz not null,
         expires_at timestamptz,
         primary key (tenant_id, month, reservation_id)`,
      ),
    );
    this.addSql('create index ledger_newest on view.ledger (tenant_id, reserved_at desc, reservation_id desc)');
    // Small whatever the ledger's size: the sweeper reads all of it every second.
    this.addSql(`create index ledger_held on view.ledger (tenant_id, month, expires_at) where status = 'held'`);
    this.addSql(
      viewTable(
        'months',
        `month text collate "C" not null,
         opened_at timestamptz not null,
         primary key (tenant_id, month)`,
      ),
    );
  }
}

class Leases002 extends Migration {
  override up(): void {
    this.addSql('alter table view.ledger add column worker text');
    // Which workers live, and how much output of a call was seen. Only the role that serves no tenant's request may touch them.
    this.addSql(`
      create table es.worker (worker text primary key, seen_at timestamptz not null);
      create table es.checkpoint (
        tenant_id text collate "C" not null,
        reservation_id uuid not null,
        output_tokens_seen int not null,
        seen_at timestamptz not null,
        primary key (tenant_id, reservation_id)
      );
      do $$ declare name text; begin
        foreach name in array array['worker', 'checkpoint'] loop
          execute format('alter table es.%I enable row level security', name);
          execute format('alter table es.%I force row level security', name);
          execute format('create policy leases on es.%I to %I using (true) with check (true)', name, current_database() || '_feed');
          execute format('grant select, insert, update, delete on es.%I to %I', name, current_database() || '_feed');
        end loop;
      end $$;`);
  }
}

export const migrations: NamedMigration[] = [
  { name: '001-ledger', class: Ledger001 },
  { name: '002-leases', class: Leases002 },
  { name: '003-webhooks', class: Webhooks003 },
];
