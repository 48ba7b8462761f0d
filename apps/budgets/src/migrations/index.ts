import { Migration } from '@mikro-orm/migrations';
import { type NamedMigration, viewTable } from '@reef/eventing';

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

export const migrations: NamedMigration[] = [{ name: '001-ledger', class: Ledger001 }];
