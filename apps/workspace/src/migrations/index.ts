import { viewTable } from '@reef/eventing';
import { Migration } from '@mikro-orm/migrations';

class Files001 extends Migration {
  override up(): void {
    this.addSql(
      viewTable(
        'files',
        `path text collate "C" not null, bytes bigint not null, sha256 text not null, modified_at timestamptz not null,
         primary key (tenant_id, path)`,
      ),
    );
    this.addSql(
      viewTable(
        'folders',
        `agent text collate "C" not null, bytes bigint not null, files int not null, primary key (tenant_id, agent)`,
      ),
    );
  }
}

export const migrations = [{ name: '001-files', class: Files001 }];
