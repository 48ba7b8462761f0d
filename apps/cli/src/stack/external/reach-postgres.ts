import { versionRefusal } from '@reef/eventing/provision';
import { Client } from 'pg';
import { externalAdminUrl } from '../databases.js';
import { answerLimitMs, reasonOf, urlWithHost } from './reached.js';
import type { Reached } from './reached.js';

/** Logs in and asks for the version; each may take `limitMs`. */
export async function reachPostgres(url: string, limitMs = answerLimitMs): Promise<Reached> {
  const parsed = urlWithHost(url, ['postgres:', 'postgresql:']);
  if (parsed === undefined) {
    return { ok: false, text: 'it has not the form postgres://user:password@host:port/database' };
  }
  const place = `${parsed.hostname}:${parsed.port || '5432'}`;
  let client: Client | undefined;
  try {
    client = new Client({
      connectionString: externalAdminUrl(url),
      connectionTimeoutMillis: limitMs,
      query_timeout: limitMs,
    });
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ number: string; version: string }>(
      `SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS version`,
    );
    const refusal = versionRefusal(Number(rows[0]?.number));
    return refusal === undefined
      ? { ok: true, text: `PostgreSQL ${rows[0]?.version} on ${place}` }
      : { ok: false, text: `${place}: ${refusal}` };
  } catch (error) {
    return { ok: false, text: reasonOf(error, place) };
  } finally {
    // Not waited for: a server that has stopped answering does not say goodbye either.
    void client?.end().catch(() => undefined);
  }
}
