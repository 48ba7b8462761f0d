import { Migration } from '@mikro-orm/migrations';
import { viewTable } from '@reef/eventing';

class Memory001 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'memories',
        `memory_id uuid not null, agent text not null, end_user text, text text not null, words text not null,
         lexemes tsvector generated always as (array_to_tsvector(string_to_array(words, ' '))) stored,
         remembered_at timestamptz not null, primary key (tenant_id, memory_id)`,
      ),
    );
    // No GIN index on the lexemes: row-level security lets only leakproof operators choose rows, and @@ is none, so the index
    // would never be used. Agent and user choose rows of a bounded number and length, and those are matched one by one.
    this.addSql(
      `create index memories_of_user on view.memories (tenant_id, agent, end_user, remembered_at desc, memory_id desc)`,
    );
    this.addSql(`create index memories_newest on view.memories (tenant_id, remembered_at desc, memory_id desc)`);
  }
}

export const migrations = [{ name: '001-memory', class: Memory001 }];
