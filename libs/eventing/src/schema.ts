/**
 * The event store's part of a service's database, as SQL.
 *
 * Schema `es` holds the record, schema `view` the read models. Three roles, named after the database: `_owner` runs
 * migrations and replays, `_app` serves under row-level security, `_feed` reads every tenant's events for the relay and for
 * sweepers. Every table is FORCE ROW LEVEL SECURITY; a transaction sees the tenants it names in `app.tenant_ids`, and one that
 * names none gets an error.
 */

// An object's keys are found by halving, and made once a statement. `= any (…)` would compare each row with each of the hundreds of
// tenants that one commit holds: a quarter of the database's time.
const NAMED = `current_setting('app.tenant_ids')::text[]`;
const THE_TENANTS_NAMED = `(select jsonb_object(${NAMED}, ${NAMED})) ? tenant_id`;

/** Gives tables that were made before it the policy that they would be given today. */
export const RENEW_POLICIES_SQL = `
  do $$ declare secured record; begin
    for secured in select schemaname, tablename from pg_policies where policyname = 'tenants_named' loop
      execute format('alter policy tenants_named on %I.%I using (${THE_TENANTS_NAMED.replaceAll("'", "''")}) with check (${THE_TENANTS_NAMED.replaceAll("'", "''")})',
        secured.schemaname, secured.tablename);
    end loop;
  end $$`;

/** Row-level security and grants for a table with a `tenant_id`. Roles are found by the database's name. */
export function tenantSecurity(table: string, grants: { app: string; feed: string }): string {
  return `
    alter table ${table} enable row level security;
    alter table ${table} force row level security;
    do $$ declare db text := current_database(); begin
      execute format('create policy tenants_named on ${table} to %I using (${THE_TENANTS_NAMED.replaceAll("'", "''")}) with check (${THE_TENANTS_NAMED.replaceAll("'", "''")})', db || '_app');
      execute format('create policy every_tenant on ${table} to %I, %I using (true) with check (true)', db || '_owner', db || '_feed');
      execute format('grant ${grants.app} on ${table} to %I', db || '_app');
      ${grants.feed && `execute format('grant ${grants.feed} on ${table} to %I', db || '_feed');`}
    end $$;`;
}

/**
 * A read model's table: `view.<name>` with `tenant_id` first.
 * @param columnsAndKey the further columns and `primary key (tenant_id, …)`.
 */
export function viewTable(name: string, columnsAndKey: string): string {
  if (!/primary key \(tenant_id\b/.test(columnsAndKey))
    throw new Error(`view.${name} needs a primary key that begins with tenant_id`);
  return `
    create table view.${name} (tenant_id text collate "C" not null, ${columnsAndKey});
    ${tenantSecurity(`view.${name}`, { app: 'select, insert, update, delete', feed: 'select' })}`;
}

/**
 * A function's plans are made once, perhaps on empty tables, where reading all is cheapest; and kept while the tables grow.
 * What these functions look for is always a few rows by their key.
 */
export const BY_INDEX =
  'set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_material = off';

export const EVENT_STORE_SQL = `
  create schema es;
  create schema view;
  do $$ declare db text := current_database(); begin
    execute format('grant usage on schema es, view to %I, %I', db || '_app', db || '_feed');
  end $$;

  -- Transaction ids start anew after a dump and restore; the epoch keeps the feed in order across it.
  create table es.epoch (one boolean primary key default true check (one), epoch int not null);
  insert into es.epoch (epoch) values (1);
  alter table es.epoch enable row level security;
  alter table es.epoch force row level security;
  create policy readable on es.epoch using (true) with check (true);
  do $$ begin
    execute format('grant select on es.epoch to %I', current_database() || '_app');
    execute format('grant select, update on es.epoch to %I', current_database() || '_feed');
  end $$;

  create table es.event (
    tenant_id text collate "C" not null,
    stream_id text collate "C" not null,
    version int not null,
    event_id uuid not null,
    type text not null,
    schema_version smallint not null,
    data jsonb not null,
    actor text not null,
    command_id text not null,
    correlation_id text not null,
    causation_id text,
    traceparent text,
    occurred_at timestamptz not null,
    epoch int not null,
    xid xid8 not null default pg_current_xact_id(),
    position bigint generated always as identity,
    primary key (tenant_id, stream_id, version)
  );
  create index event_feed on es.event (epoch, xid, position);
  ${tenantSecurity('es.event', { app: 'select, insert', feed: 'select' })}

  create table es.stream (
    tenant_id text collate "C" not null,
    stream_id text collate "C" not null,
    version int not null,
    primary key (tenant_id, stream_id)
  ) with (fillfactor = 70);
  ${tenantSecurity('es.stream', { app: 'select, insert, update', feed: 'select' })}

  create table es.command (
    tenant_id text collate "C" not null,
    command_id text collate "C" not null,
    fingerprint text not null,
    reply text,
    reply_sealed boolean not null,
    handled_at timestamptz not null default now(),
    primary key (tenant_id, command_id)
  );
  create index command_age on es.command (handled_at);
  ${tenantSecurity('es.command', { app: 'select, insert, delete', feed: 'select, delete' })}

  create table es.snapshot (
    tenant_id text collate "C" not null,
    stream_id text collate "C" not null,
    version int not null,
    shape int not null,
    state text not null,
    primary key (tenant_id, stream_id)
  );
  ${tenantSecurity('es.snapshot', { app: 'select, insert, update', feed: 'select' })}

  create table es.tenant_key (
    tenant_id text collate "C" not null,
    key_version int not null,
    wrapped text not null,
    primary key (tenant_id, key_version)
  );
  ${tenantSecurity('es.tenant_key', { app: 'select, insert, delete', feed: 'select' })}

  -- How far the relay has published, and how far every follower has confirmed.
  create table es.relay (
    one boolean primary key default true check (one),
    feed_created_at text not null default '',
    epoch int not null default 0, xid xid8 not null default '0', position bigint not null default 0,
    confirmed_epoch int not null default 0, confirmed_xid xid8 not null default '0', confirmed_position bigint not null default 0
  );
  insert into es.relay default values;
  alter table es.relay enable row level security;
  alter table es.relay force row level security;
  do $$ begin
    execute format('create policy relay_only on es.relay to %I using (true) with check (true)', current_database() || '_feed');
    execute format('grant select, update on es.relay to %I', current_database() || '_feed');
  end $$;

  -- Writes whole rows of a read model and deletes others. Its body is generated: see es.refresh_projections.
  create function es.write_rows(target text, upserts json, deletes json) returns void language plpgsql as $$
  begin raise exception 'no projection %', target; end $$;

  -- Writes es.write_rows anew, with one static (and so plan-cached) statement for each table in the schema view.
  create function es.refresh_projections() returns void language plpgsql as $fn$
  declare
    projection record;
    body text := '';
  begin
    for projection in
      select c.relname as name,
        string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where a.attgenerated = '' and a.attidentity = '') as columns,
        string_agg(quote_ident(a.attname), ', ' order by array_position(k.indkey::int2[], a.attnum)) filter (where a.attnum = any (k.indkey)) as key,
        string_agg(format('t.%1$I = r.%1$I', a.attname), ' and ') filter (where a.attnum = any (k.indkey)) as same_key,
        string_agg(format('%1$I = excluded.%1$I', a.attname), ', ') filter (where a.attnum <> all (k.indkey) and a.attgenerated = '' and a.attidentity = '') as assignments
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'view'
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      join pg_index k on k.indrelid = c.oid and k.indisprimary
      where c.relkind = 'r'
      group by c.relname order by c.relname
    loop
      body := body || format($sql$
        if target = %1$L then
          if deletes is not null then
            delete from view.%1$I t using json_populate_recordset(null::view.%1$I, deletes) r where %4$s;
          end if;
          if upserts is not null then
            insert into view.%1$I (%2$s) select %2$s from json_populate_recordset(null::view.%1$I, upserts)
            on conflict (%3$s) do %5$s;
          end if;
          return;
        end if;
      $sql$, projection.name, projection.columns, projection.key, projection.same_key,
        coalesce('update set ' || projection.assignments, 'nothing'));
    end loop;
    execute format($sql$
      create or replace function es.write_rows(target text, upserts json, deletes json) returns void language plpgsql as $body$
      begin %s raise exception 'no projection %%', target; end $body$
    $sql$, body);
  end $fn$;

  -- Commits the decisions of many streams and tenants at once. Streams that were decided together form a group; a group is
  -- written whole or not at all. Returned are the groups that were not (a stream had moved on, or a command had been handled
  -- before), and the earlier answers to commands that were looked up.
  create function es.append(tenants text[], streams json, commands json, events json, changes json)
  returns table (group_no int, verdict text, command_no int, fingerprint text, reply text, reply_sealed boolean)
  language plpgsql ${BY_INDEX} as $fn$
  declare
    lost int[] := '{}';
    twice int[];
    the_epoch int;
    change record;
  begin
    perform set_config('app.tenant_ids', tenants::text, true);

    -- Heads are locked in one order by everybody, so that two writers cannot wait for each other.
    insert into es.stream (tenant_id, stream_id, version)
    select s.t, s.s, 0 from json_to_recordset(streams) as s(t text, s text, expected int, next int)
    where s.expected = 0 and s.next > 0 order by s.t collate "C", s.s collate "C" on conflict do nothing;

    perform from es.stream h
    join json_to_recordset(streams) as s(t text, s text) on h.tenant_id = s.t and h.stream_id = s.s
    order by h.tenant_id, h.stream_id for update of h;

    select coalesce(array_agg(distinct s.g), '{}') into lost
    from json_to_recordset(streams) as s(g int, t text, s text, expected int)
    left join es.stream h on h.tenant_id = s.t and h.stream_id = s.s
    where coalesce(h.version, 0) <> s.expected;

    with wanted as (
      select * from json_to_recordset(commands) as c(g int, n int, t text, id text, f text, r text, sealed boolean, write boolean)
    ), inserted as (
      insert into es.command (tenant_id, command_id, fingerprint, reply, reply_sealed)
      select c.t, c.id, c.f, c.r, c.sealed from wanted c where c.write and c.g <> all (lost)
      order by c.t collate "C", c.id collate "C" on conflict do nothing
      returning tenant_id, command_id
    )
    select coalesce(array_agg(distinct c.g), '{}') into twice from wanted c
    where c.write and c.g <> all (lost)
      and not exists (select from inserted i where i.tenant_id = c.t and i.command_id = c.id);

    -- What was handled before, now or by another writer, keeps its answer.
    return query
      select c.g, 'handled'::text, c.n, k.fingerprint, k.reply, k.reply_sealed
      from json_to_recordset(commands) as c(g int, n int, t text, id text, write boolean)
      join es.command k on k.tenant_id = c.t and k.command_id = c.id
      where (not c.write and c.g <> all (lost) and c.g <> all (twice))
         or (c.write and c.g = any (twice) and k.xmin::text <> (pg_current_xact_id()::xid)::text);

    if cardinality(twice) > 0 then
      delete from es.command k using json_to_recordset(commands) as c(g int, t text, id text, write boolean)
      where c.write and c.g = any (twice) and k.tenant_id = c.t and k.command_id = c.id
        and k.xmin::text = (pg_current_xact_id()::xid)::text;
    end if;
    lost := lost || twice;
    return query select g, 'lost'::text, null::int, null::text, null::text, null::boolean from unnest(lost) as g;

    update es.stream h set version = s.next
    from json_to_recordset(streams) as s(g int, t text, s text, expected int, next int)
    where h.tenant_id = s.t and h.stream_id = s.s and s.next > s.expected and s.g <> all (lost);

    select e.epoch into the_epoch from es.epoch e;
    insert into es.event (tenant_id, stream_id, version, event_id, type, schema_version, data, actor, command_id, correlation_id, causation_id, traceparent, occurred_at, epoch)
    select e.t, e.s, e.v, e.id, e.type, e.sv, e.d, e.actor, e.command, e.correlation, e.causation, e.trace, e.at, the_epoch
    from json_to_recordset(events) as e(g int, t text, s text, v int, id uuid, type text, sv smallint, d jsonb, actor text, command text, correlation text, causation text, trace text, at timestamptz)
    where e.g <> all (lost);

    for change in
      select c.target, json_agg(c.row) filter (where c.up) as upserts, json_agg(c.row) filter (where not c.up) as deletes
      from json_to_recordset(changes) as c(g int, target text, up boolean, row json)
      where c.g <> all (lost) group by c.target order by c.target
    loop
      perform es.write_rows(change.target, change.upserts, change.deletes);
    end loop;
  end $fn$;

  -- The streams' newest usable snapshots and the events after them, in one round trip.
  create function es.load(tenants text[], wanted json)
  returns table (tenant_id text, stream_id text, version int, type text, schema_version smallint, data jsonb, snapshot text)
  language plpgsql ${BY_INDEX} as $fn$
  #variable_conflict use_column
  begin
    perform set_config('app.tenant_ids', tenants::text, true);
    return query
      with start as (
        select w.t, w.s, p.version, p.state from json_to_recordset(wanted) as w(t text, s text, shape int)
        left join es.snapshot p on p.tenant_id = w.t and p.stream_id = w.s and p.shape = w.shape
      )
      select s.t, s.s, s.version, null::text, null::smallint, null::jsonb, s.state from start s where s.state is not null
      union all
      (select e.tenant_id, e.stream_id, e.version, e.type, e.schema_version, e.data, null::text
       from start s join es.event e on e.tenant_id = s.t and e.stream_id = s.s and e.version > coalesce(s.version, 0)
       order by e.tenant_id, e.stream_id, e.version);
  end $fn$;
`;
