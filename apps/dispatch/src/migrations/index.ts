import { Migration } from '@mikro-orm/migrations';
import { viewTable } from '@reef/eventing';

class Conversations001 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'agents',
        `agent text collate "C" not null, name text not null, model text, instructions text not null,
         created_at timestamptz not null, archived boolean not null, primary key (tenant_id, agent)`,
      ),
    );
    this.addSql(
      viewTable(
        'sessions',
        `session text collate "C" not null, agent text not null, end_user text, turns int not null,
         started_at timestamptz not null, last_turn_at timestamptz not null, primary key (tenant_id, session)`,
      ),
    );
    this.addSql('create index sessions_by_time on view.sessions (tenant_id, last_turn_at, session)');
    this.addSql(
      viewTable(
        'turns',
        `turn_id uuid not null, session text collate "C" not null, agent text not null, end_user text, model text not null,
         source text not null, status text not null, worker text not null, message text not null, reply text,
         failure_code text, failure_message text, usage jsonb, requested_at timestamptz not null, ended_at timestamptz,
         primary key (tenant_id, turn_id)`,
      ),
    );
    this.addSql('create index turns_by_session on view.turns (tenant_id, session, requested_at, turn_id)');
    this.addSql(`create index turns_open on view.turns (tenant_id, worker) where status in ('queued', 'running')`);
    // Which processes are alive. It belongs to no tenant, so only the role that serves no request may touch it.
    this.addSql(`
      create table es.worker (worker text primary key, seen_at timestamptz not null);
      alter table es.worker enable row level security;
      alter table es.worker force row level security;
      do $$ begin
        execute format('create policy liveness on es.worker to %I using (true) with check (true)', current_database() || '_feed');
        execute format('grant select, insert, update, delete on es.worker to %I', current_database() || '_feed');
      end $$;`);
  }
}

/** Which process owns which lane. Like `es.worker` it belongs to no tenant. */
class Lanes002 extends Migration {
  override up(): void {
    this.addSql(`
      create table es.lane (
        lane text collate "C" primary key, owner text not null, fence bigint not null, expires_at timestamptz not null);
      alter table es.lane enable row level security;
      alter table es.lane force row level security;
      do $$ begin
        execute format('create policy leases on es.lane to %I using (true) with check (true)', current_database() || '_feed');
        execute format('grant select, insert, update, delete on es.lane to %I', current_database() || '_feed');
      end $$;`);
  }
}

export const migrations = [
  { name: '001-conversations', class: Conversations001 },
  { name: '002-lanes', class: Lanes002 },
];
