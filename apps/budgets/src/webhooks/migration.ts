import { Migration } from '@mikro-orm/migrations';
import { viewTable } from '@reef/eventing';

export class Webhooks003 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'webhook_deliveries',
        `webhook_id uuid not null,
         message_id text not null,
         type text not null,
         body text not null,
         status text not null default 'waiting' check (status in ('waiting', 'delivered', 'failed')),
         attempts int not null default 0,
         http_status int,
         failure text,
         created_at timestamptz not null default now(),
         next_attempt_at timestamptz not null default now(),
         leased_until timestamptz,
         ended_at timestamptz,
         primary key (tenant_id, webhook_id, message_id)`,
      ),
    );
    // Small whatever the table's size: the sender looks here every second.
    this.addSql(
      `create index webhook_deliveries_waiting on view.webhook_deliveries (tenant_id, webhook_id, next_attempt_at) where status = 'waiting'`,
    );
    this.addSql(
      'create index webhook_deliveries_newest on view.webhook_deliveries (tenant_id, webhook_id, created_at desc)',
    );
    // The sender serves no tenant's request.
    this.addSql(`
      do $$ begin
        execute format('grant update, delete on view.webhook_deliveries to %I', current_database() || '_feed');
      end $$;`);
  }
}
