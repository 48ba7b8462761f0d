import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';

export interface Provision {
  /** Lower-case letters, digits and underscores; the roles' names derive from it. */
  readonly database: string;
  /** Set on all three roles each time, so that a changed password takes effect. */
  readonly rolePassword: string;
}

export interface ProvisionedDatabase {
  /** Owns the database and its schema: migrations and replays. */
  readonly ownerUrl: string;
  /** Serves requests: neither owner nor superuser, so row-level security binds it. */
  readonly appUrl: string;
  /** Reads the events of all tenants for the relay; its table grants come with the migrations. */
  readonly feedUrl: string;
}

/** Where `transaction_timeout` came, without which telemetry cannot bound its transactions. */
const postgresMajorMin = 17;
const connectLimitMs = 10_000;
const statementLimitMs = 60_000;
// One number for every provisioning on a server: roles and databases are shared by the whole cluster.
const provisioningLock = 0x7265_6566;

/**
 * Makes what is missing: the database and its owner, app and feed roles, each of which may connect to this database only.
 * Harmless to repeat and to run twice at once. The admin needs CREATEDB and CREATEROLE, not superuser.
 * Throws before it changes anything when the server is older than PostgreSQL 17.
 */
export async function provisionDatabase(adminUrl: string, provision: Provision): Promise<ProvisionedDatabase> {
  const { database, rolePassword } = provision;
  const roles = rolesOf(database);
  await locked(adminUrl, async (admin) => {
    const refusal = versionRefusal(await versionNumberOf(admin));
    if (refusal !== undefined) throw new Error(refusal);
    for (const role of Object.values(roles)) await createRole(admin, role, rolePassword);
    await becomeMember(admin, roles.owner);
    if (!(await exists(admin, 'SELECT 1 FROM pg_database WHERE datname = $1', database))) {
      await admin.query(`CREATE DATABASE ${escapeIdentifier(database)} OWNER ${escapeIdentifier(roles.owner)}`);
    }
  });

  const urls = databaseUrls(adminUrl, provision);
  await connected(urls.ownerUrl, async (owner) => {
    const [name, ownerRole] = [escapeIdentifier(database), escapeIdentifier(roles.owner)];
    const readers = [roles.app, roles.feed].map((role) => escapeIdentifier(role)).join(', ');
    await owner.query('BEGIN');
    // Two that change the same grants at once fail with "tuple concurrently updated".
    await owner.query('SELECT pg_advisory_xact_lock($1)', [provisioningLock]);
    await owner.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
    await owner.query(`GRANT CONNECT ON DATABASE ${name} TO ${ownerRole}, ${readers}`);
    await owner.query('REVOKE ALL ON SCHEMA public FROM PUBLIC');
    await owner.query(`GRANT ALL ON SCHEMA public TO ${ownerRole}`);
    await owner.query(`GRANT USAGE ON SCHEMA public TO ${readers}`);
    await owner.query('COMMIT');
  });
  return urls;
}

/** Why a server with this `server_version_num` cannot be used, in one sentence; undefined when it can. */
export function versionRefusal(versionNumber: number): string | undefined {
  const major = Math.floor(versionNumber / 10_000);
  if (major >= postgresMajorMin) return undefined;
  return `the server is PostgreSQL ${major}, and Reef needs PostgreSQL ${postgresMajorMin} or newer`;
}

/** Where a provisioned database is reached; nothing is asked or changed. */
export function databaseUrls(adminUrl: string, { database, rolePassword }: Provision): ProvisionedDatabase {
  const roles = rolesOf(database);
  return {
    ownerUrl: urlFor(adminUrl, database, roles.owner, rolePassword),
    appUrl: urlFor(adminUrl, database, roles.app, rolePassword),
    feedUrl: urlFor(adminUrl, database, roles.feed, rolePassword),
  };
}

/** Removes the database, whoever is connected to it, and its three roles. Harmless when they are missing. */
export async function dropDatabase(adminUrl: string, database: string): Promise<void> {
  const roles = rolesOf(database);
  await locked(adminUrl, async (admin) => {
    if (await exists(admin, 'SELECT 1 FROM pg_database WHERE datname = $1', database)) {
      // FORCE ends the sessions of others only for a member of their roles.
      for (const role of Object.values(roles)) await becomeMember(admin, role);
      await admin.query(`DROP DATABASE ${escapeIdentifier(database)} WITH (FORCE)`);
    }
    for (const role of Object.values(roles)) await admin.query(`DROP ROLE IF EXISTS ${escapeIdentifier(role)}`);
  });
}

function rolesOf(database: string) {
  // PostgreSQL cuts names after 63 bytes, which would make two roles one.
  if (!/^[a-z_][a-z0-9_]{0,55}$/.test(database)) throw new Error(`"${database}" cannot name a database of Reef`);
  return { owner: `${database}_owner`, app: `${database}_app`, feed: `${database}_feed` };
}

async function createRole(admin: Client, role: string, password: string): Promise<void> {
  const name = escapeIdentifier(role);
  if (!(await exists(admin, 'SELECT 1 FROM pg_roles WHERE rolname = $1', role))) {
    await admin.query(`CREATE ROLE ${name} LOGIN`);
  }
  await admin.query(`ALTER ROLE ${name} PASSWORD ${escapeLiteral(scramVerifier(password))}`);
}

/** What the server would store (RFC 5803): sent instead of the password, a statement in the server's log gives nothing away. */
function scramVerifier(password: string): string {
  const [iterations, salt] = [4096, randomBytes(16)];
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const keyed = (text: string) => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(keyed('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${keyed('Server Key').toString('base64')}`;
}

/** An admin who is no superuser may give a database to a role, or drop it, only as a member of that role. */
async function becomeMember(admin: Client, role: string): Promise<void> {
  const { rows } = await admin.query<{ member: boolean }>(
    `SELECT rolsuper OR (pg_has_role(current_user, $1, 'SET') AND pg_has_role(current_user, $1, 'USAGE')) AS member
       FROM pg_roles WHERE rolname = current_user`,
    [role],
  );
  if (rows[0]?.member) return;
  await admin.query(`GRANT ${escapeIdentifier(role)} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE`);
}

async function versionNumberOf(admin: Client): Promise<number> {
  const { rows } = await admin.query<{ server_version_num: string }>('SHOW server_version_num');
  return Number(rows[0]?.server_version_num);
}

async function exists(admin: Client, query: string, value: string): Promise<boolean> {
  return (await admin.query(query, [value])).rows.length > 0;
}

async function locked(adminUrl: string, work: (admin: Client) => Promise<void>): Promise<void> {
  await connected(adminUrl, async (admin) => {
    // Of the session, not of a transaction: CREATE DATABASE runs in none. Advisory locks are per database, hence one URL for all.
    await admin.query('SELECT pg_advisory_lock($1)', [provisioningLock]);
    await work(admin);
  });
}

async function connected(url: string, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: connectLimitMs,
    statement_timeout: statementLimitMs,
  });
  try {
    await client.connect();
    await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function urlFor(adminUrl: string, database: string, user: string, password: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  return url.href;
}
