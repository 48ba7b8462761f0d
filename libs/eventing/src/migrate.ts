import { MikroORM, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Migration, Migrator } from '@mikro-orm/migrations';
import { APPEND_ONE_SQL } from './append-one.js';
import { EVENT_STORE_SQL, RENEW_POLICIES_SQL } from './schema.js';

export interface NamedMigration {
  /** Never changes once it is released; migrations run in the order of their list. */
  readonly name: string;
  readonly class: new (...args: ConstructorParameters<typeof Migration>) => Migration;
}

class EventStore001 extends Migration {
  override up(): void {
    this.addSql(EVENT_STORE_SQL);
  }
}

class AppendOne002 extends Migration {
  override up(): void {
    this.addSql(APPEND_ONE_SQL);
  }
}

class Policies003 extends Migration {
  override up(): void {
    this.addSql(RENEW_POLICIES_SQL);
  }
}

const eventStore: readonly NamedMigration[] = [
  { name: '000-event-store', class: EventStore001 },
  { name: '000-event-store-2', class: AppendOne002 },
  { name: '000-event-store-3', class: Policies003 },
];

/**
 * Brings a service's database up to date: the event store first, then the service's own tables.
 * @returns the names of the migrations that ran.
 */
export async function migrate(ownerUrl: string, migrations: readonly NamedMigration[]): Promise<string[]> {
  const orm = await MikroORM.init({
    driver: PostgreSqlDriver,
    clientUrl: ownerUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    migrations: {
      tableName: 'migrations',
      snapshot: false,
      migrationsList: [...eventStore, ...migrations],
    },
    logger: () => undefined,
  });
  try {
    const ran = await orm.migrator.up();
    await orm.em.getConnection().execute('select es.refresh_projections()');
    return ran.map(({ name }) => name);
  } finally {
    await orm.close();
  }
}
