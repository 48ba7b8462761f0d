import { Migration } from '@mikro-orm/migrations';
import { type NamedMigration, viewTable } from '@reef/eventing';

class Audit001 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'audit',
        `event_id uuid not null,
         service text not null,
         type text not null,
         stream text not null,
         version int not null,
         schema_version smallint not null,
         data jsonb not null,
         actor text not null,
         command_id text not null,
         correlation_id text not null,
         causation_id text,
         occurred_at timestamptz not null,
         -- When telemetry wrote it down: a rebuild reads again what was written while it ran.
         recorded_at timestamptz not null default clock_timestamp(),
         primary key (tenant_id, event_id)`,
      ),
    );
    this.addSql('create index audit_order on view.audit (tenant_id, occurred_at, event_id)');
    // Rows are written in this order, so a few kilobytes of block ranges suffice; read by rebuilds only.
    this.addSql('create index audit_recorded on view.audit using brin (recorded_at)');
  }
}

class Calls002 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'calls',
        `reservation_id uuid not null,
         turn_id uuid not null,
         agent text not null,
         user_id text,
         session text not null,
         key_id text,
         model text not null,
         source text not null,
         reserved_at timestamptz not null,
         held_pico numeric not null,
         standing smallint not null,
         since timestamptz not null,
         -- Null while nothing is charged, and so are the tokens.
         cost_pico numeric,
         input_tokens bigint,
         cache_read_tokens bigint,
         cache_write_tokens bigint,
         output_tokens bigint,
         reasoning_tokens bigint,
         estimated boolean,
         primary key (tenant_id, reservation_id)`,
      ),
    );
    this.addSql('create index calls_of_turn on view.calls (tenant_id, turn_id)');
    this.addSql('create index calls_charged on view.calls (tenant_id, reserved_at) where cost_pico is not null');
  }
}

class Turns003 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'turns',
        `turn_id uuid not null,
         stage smallint not null,
         agent text,
         user_id text,
         session text,
         requested_at timestamptz,
         started_at timestamptz,
         ended_at timestamptz,
         primary key (tenant_id, turn_id)`,
      ),
    );
    this.addSql('create index turns_open on view.turns (tenant_id, requested_at) where ended_at is null');
    this.addSql('create index turns_ended on view.turns (tenant_id, ended_at) where ended_at is not null');
  }
}

export const migrations: readonly NamedMigration[] = [
  { name: '001-audit', class: Audit001 },
  { name: '002-calls', class: Calls002 },
  { name: '003-turns', class: Turns003 },
];
