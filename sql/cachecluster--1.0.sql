/* cachecluster--1.0.sql: what CREATE EXTENSION cachecluster makes */

\echo Use "CREATE EXTENSION cachecluster" to load this file. \quit

--
-- Entries as rows
--

CREATE TYPE cache_entry AS (
    namespace text,
    key text,
    value text,
    value_type text,
    expires_at timestamptz,
    version bigint,
    origin text,
    written_at timestamptz
);

COMMENT ON TYPE cache_entry IS
'an entry of the cache; value is text for every type (bytea in hex), version orders all writes of a key, origin is the node that wrote it';

--
-- Writing.  Everybody may execute these functions.
--

CREATE FUNCTION cache_put(
    key text,
    value text,
    ttl interval DEFAULT NULL,
    namespace text DEFAULT 'default',
    if_absent boolean DEFAULT false,
    if_present boolean DEFAULT false,
    if_version bigint DEFAULT NULL,
    keep_ttl boolean DEFAULT false,
    immediate boolean DEFAULT false,
    sliding boolean DEFAULT NULL,
    grace interval DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_put'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_put(text, text, interval, text, boolean, boolean, bigint, boolean, boolean, boolean, interval) IS
'stores a text under a key, on every node; true when it was stored';

CREATE FUNCTION cache_put(
    key text,
    value jsonb,
    ttl interval DEFAULT NULL,
    namespace text DEFAULT 'default',
    if_absent boolean DEFAULT false,
    if_present boolean DEFAULT false,
    if_version bigint DEFAULT NULL,
    keep_ttl boolean DEFAULT false,
    immediate boolean DEFAULT false,
    sliding boolean DEFAULT NULL,
    grace interval DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_put_jsonb'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_put(text, jsonb, interval, text, boolean, boolean, bigint, boolean, boolean, boolean, interval) IS
'stores a jsonb under a key, on every node; true when it was stored';

CREATE FUNCTION cache_put(
    key text,
    value bytea,
    ttl interval DEFAULT NULL,
    namespace text DEFAULT 'default',
    if_absent boolean DEFAULT false,
    if_present boolean DEFAULT false,
    if_version bigint DEFAULT NULL,
    keep_ttl boolean DEFAULT false,
    immediate boolean DEFAULT false,
    sliding boolean DEFAULT NULL,
    grace interval DEFAULT NULL
) RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_put_bytea'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_put(text, bytea, interval, text, boolean, boolean, bigint, boolean, boolean, boolean, interval) IS
'stores a bytea under a key, on every node; true when it was stored';

CREATE FUNCTION cache_delete(key text, namespace text DEFAULT 'default')
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_delete(text, text) IS
'deletes an entry, on every node; true when there was one';

CREATE FUNCTION cache_touch(key text, ttl interval, namespace text DEFAULT 'default')
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_touch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_touch(text, interval, text) IS
'gives an entry a new time to live; true when there was one';

CREATE FUNCTION cache_persist(key text, namespace text DEFAULT 'default')
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_persist'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_persist(text, text) IS
'takes the time to live from an entry; true when there was one';

CREATE FUNCTION cache_incr(
    key text,
    by bigint DEFAULT 1,
    ttl interval DEFAULT NULL,
    namespace text DEFAULT 'default'
) RETURNS bigint
AS 'MODULE_PATHNAME', 'cachecluster_incr'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_incr(text, bigint, interval, text) IS
'adds to a counter at once and returns its value; ttl counts when the key is created';

--
-- Reading.  A miss is NULL, and so is what is asked about NULL.
--

CREATE FUNCTION cache_get(key text, namespace text DEFAULT 'default')
RETURNS text
AS 'MODULE_PATHNAME', 'cachecluster_get'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_get(text, text) IS
'value of a key as text, NULL on a miss';

CREATE FUNCTION cache_get_jsonb(key text, namespace text DEFAULT 'default')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cachecluster_get_jsonb'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_get_jsonb(text, text) IS
'value of a key as jsonb, also when it was put as text, NULL on a miss';

CREATE FUNCTION cache_get_bytea(key text, namespace text DEFAULT 'default')
RETURNS bytea
AS 'MODULE_PATHNAME', 'cachecluster_get_bytea'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_get_bytea(text, text) IS
'value of a key as bytea, NULL on a miss';

CREATE FUNCTION cache_entry(key text, namespace text DEFAULT 'default')
RETURNS SETOF cache_entry
AS 'MODULE_PATHNAME', 'cachecluster_entry'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 1;

COMMENT ON FUNCTION cache_entry(text, text) IS
'the entry of a key with all that is known of it; no row on a miss';

CREATE FUNCTION cache_has(key text, namespace text DEFAULT 'default')
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_has'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_has(text, text) IS
'whether there is an entry';

CREATE FUNCTION cache_ttl(key text, namespace text DEFAULT 'default')
RETURNS interval
AS 'MODULE_PATHNAME', 'cachecluster_ttl'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_ttl(text, text) IS
'what is left of an entry''s time to live, NULL when it does not expire or there is none';

CREATE FUNCTION cache_count(namespace text DEFAULT 'default')
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachecluster_count'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 10000;

COMMENT ON FUNCTION cache_count(text) IS
'number of entries of a namespace';

CREATE FUNCTION cache_keys(pattern text DEFAULT '%', namespace text DEFAULT 'default')
RETURNS SETOF text
AS 'MODULE_PATHNAME', 'cachecluster_keys'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 10000;

COMMENT ON FUNCTION cache_keys(text, text) IS
'keys that match a LIKE pattern, in their byte order';

CREATE FUNCTION cache_entries(pattern text DEFAULT '%', namespace text DEFAULT 'default')
RETURNS SETOF cache_entry
AS 'MODULE_PATHNAME', 'cachecluster_entries'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 10000;

COMMENT ON FUNCTION cache_entries(text, text) IS
'entries whose keys match a LIKE pattern, in the byte order of their keys';

--
-- Many keys at once
--

CREATE FUNCTION cache_put_many(
    keys text[],
    vals text[],
    ttl interval DEFAULT NULL,
    namespace text DEFAULT 'default'
) RETURNS integer
AS 'MODULE_PATHNAME', 'cachecluster_put_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_put_many(text[], text[], interval, text) IS
'stores many values of type text with one deadline, all or none; how many were stored';

CREATE FUNCTION cache_put_many(
    keys text[],
    vals jsonb[],
    ttl interval DEFAULT NULL,
    namespace text DEFAULT 'default'
) RETURNS integer
AS 'MODULE_PATHNAME', 'cachecluster_put_many_jsonb'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_put_many(text[], jsonb[], interval, text) IS
'stores many values of type jsonb with one deadline, all or none; how many were stored';

CREATE FUNCTION cache_put_many(
    keys text[],
    vals bytea[],
    ttl interval DEFAULT NULL,
    namespace text DEFAULT 'default'
) RETURNS integer
AS 'MODULE_PATHNAME', 'cachecluster_put_many_bytea'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_put_many(text[], bytea[], interval, text) IS
'stores many values of type bytea with one deadline, all or none; how many were stored';

CREATE FUNCTION cache_get_many(
    keys text[],
    namespace text DEFAULT 'default'
) RETURNS TABLE (key text, value text)
AS 'MODULE_PATHNAME', 'cachecluster_get_many'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION cache_get_many(text[], text) IS
'values of many keys as text: those found, in the order asked';

CREATE FUNCTION cache_delete_many(keys text[], namespace text DEFAULT 'default')
RETURNS integer
AS 'MODULE_PATHNAME', 'cachecluster_delete_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_delete_many(text[], text) IS
'deletes many entries, on every node; how many there were';

CREATE FUNCTION cache_delete_like(pattern text, namespace text DEFAULT 'default')
RETURNS bigint
AS 'MODULE_PATHNAME', 'cachecluster_delete_like'
LANGUAGE C VOLATILE PARALLEL UNSAFE COST 10000;

COMMENT ON FUNCTION cache_delete_like(text, text) IS
'deletes the entries whose keys match a LIKE pattern, as seen at the call; how many there were';

CREATE FUNCTION cache_clear(namespace text DEFAULT 'default')
RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_clear(text) IS
'empties a namespace on every node, in one step';

CREATE FUNCTION cache_key(VARIADIC parts text[])
RETURNS text
AS 'MODULE_PATHNAME', 'cachecluster_key'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION cache_key(text[]) IS
'joins parts with a colon to a key; different parts never give one key, and with '':%'' behind it the result is a LIKE pattern for the keys below it';

--
-- Namespaces
--

CREATE FUNCTION cache_namespace(
    name text,
    ttl interval DEFAULT NULL,
    require_ttl boolean DEFAULT NULL,
    persist boolean DEFAULT NULL,
    replicate boolean DEFAULT NULL,
    writes text DEFAULT NULL,
    on_split text DEFAULT NULL,
    max_memory "any" DEFAULT NULL,
    sliding boolean DEFAULT NULL,
    max_age interval DEFAULT NULL,
    grace interval DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_namespace'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_namespace(text, interval, boolean, boolean, boolean, text, text, "any", boolean, interval, interval) IS
'declares a namespace of this database, on all nodes and at once: creates it, or sets what is given';

CREATE FUNCTION cache_drop_namespace(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_drop_namespace'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_drop_namespace(text) IS
'removes a namespace and all its entries, on all nodes and at once';

CREATE FUNCTION cache_grant(namespace text, role text, privileges text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_grant'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_grant(text, text, text) IS
'gives a role (public: everybody) privileges on a namespace: read, write, or all';

CREATE FUNCTION cache_revoke(namespace text, role text, privileges text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_revoke'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_revoke(text, text, text) IS
'takes privileges on a namespace from a role';

CREATE FUNCTION cachecluster_namespaces(
    OUT name text,
    OUT database text,
    OUT owner text,
    OUT ttl interval,
    OUT require_ttl boolean,
    OUT persist boolean,
    OUT replicate boolean,
    OUT writes text,
    OUT on_split text,
    OUT max_memory bigint,
    OUT sliding boolean,
    OUT max_age interval,
    OUT grace interval,
    OUT merge_function text,
    OUT privileges text[],
    OUT entries bigint,
    OUT bytes bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachecluster_namespaces'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 20;

COMMENT ON FUNCTION cachecluster_namespaces() IS
'the namespaces of all databases, as they were declared';

CREATE VIEW cache_namespaces AS
    SELECT * FROM @extschema@.cachecluster_namespaces();

COMMENT ON VIEW cache_namespaces IS
'the namespaces of all databases, as they were declared';

GRANT SELECT ON cache_namespaces TO PUBLIC;

--
-- Merge functions
--

CREATE TYPE cache_merge AS (
    action text,
    value text,
    ttl interval,
    state jsonb
);

COMMENT ON TYPE cache_merge IS
'what a merge function of the full form decides: action is one of ours, theirs, write (value, ttl), delete, defer, stop; state goes to its next call';

CREATE FUNCTION cache_set_merge(
    namespace text,
    merge regprocedure,
    args jsonb DEFAULT NULL,
    fetcher regprocedure DEFAULT NULL
) RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_set_merge'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_set_merge(text, regprocedure, jsonb, regprocedure) IS
'lets a function decide the conflicts of a namespace: f(ours cache_entry, theirs cache_entry) RETURNS cache_entry, or with a third argument, state jsonb, RETURNS cache_merge; it runs as the owner of the namespace';

--
-- Keeping the cache in step with tables
--

CREATE FUNCTION cache_invalidate()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cachecluster_invalidate'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_invalidate() IS
'AFTER trigger: at commit deletes the keys that its templates make of the old and new row; arguments are a namespace and templates like user:{id}';

--
-- Reading that changes something: for one caller of many
--

CREATE FUNCTION cache_take(key text, namespace text DEFAULT 'default')
RETURNS text
AS 'MODULE_PATHNAME', 'cachecluster_take'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_take(text, text) IS
'value of a key as text, deleted in the same step and at once; NULL on a miss';

CREATE FUNCTION cache_get_or_lock(
    key text,
    lock_ttl interval DEFAULT '10 s',
    wait interval DEFAULT '5 s',
    namespace text DEFAULT 'default',
    OUT value text,
    OUT stale boolean,
    OUT must_compute boolean
)
AS 'MODULE_PATHNAME', 'cachecluster_get_or_lock'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_get_or_lock(text, interval, interval, text) IS
'value of a key; on a miss one caller of the node is told to compute it, and the others wait for it';

--
-- The group
--

CREATE FUNCTION cache_status(
    OUT node_id text,
    OUT node_name text,
    OUT phase text,
    OUT members integer,
    OUT reachable integer,
    OUT conflicts_pending bigint,
    OUT last_error text
)
AS 'MODULE_PATHNAME', 'cachecluster_status'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_status() IS
'this node and how far it has come; members and reachable count this node';

CREATE FUNCTION cache_wait_ready(timeout interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_wait_ready'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_wait_ready(interval) IS
'waits until this node is ready; false when the time is over';

CREATE FUNCTION cache_wait_converged(timeout interval)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_wait_converged'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_wait_converged(interval) IS
'waits until every reachable member has seen all that any had seen at the call, and nothing of it waits for an automatic decision; false when the time is over';

CREATE FUNCTION cache_join(conninfo text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_join'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_join(text) IS
'joins the group of a node, now and after every restart';

CREATE FUNCTION cache_forget(node text)
RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_forget'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_forget(text) IS
'removes a member, named by node_name or node_id, for good';

REVOKE ALL ON FUNCTION cache_status() FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_wait_ready(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_wait_converged(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_join(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cache_forget(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION cache_status() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION cache_wait_ready(interval) TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION cache_wait_converged(interval) TO pg_read_all_stats;

--
-- Conflicts
--

CREATE FUNCTION cache_heal(
    namespace text DEFAULT NULL,
    winner text DEFAULT NULL
) RETURNS bigint
AS 'MODULE_PATHNAME', 'cachecluster_heal'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_heal(text, text) IS
'tries at once to decide the conflicts of a namespace, or of all of this database that are yours, and returns how many are pending; with the name or id of a node its side wins, and it returns how many were decided';

CREATE FUNCTION cache_resolve(
    key text,
    choice text,
    value text DEFAULT NULL,
    namespace text DEFAULT 'default'
) RETURNS boolean
AS 'MODULE_PATHNAME', 'cachecluster_resolve'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_resolve(text, text, text, text) IS
'decides the conflict of a key: ours or theirs, as cache_conflicts shows them on this node, write (value) or delete; false when none is pending';

CREATE FUNCTION cachecluster_conflicts(
    OUT at timestamptz,
    OUT namespace text,
    OUT key text,
    OUT ours_value text,
    OUT ours_version bigint,
    OUT ours_node text,
    OUT theirs_value text,
    OUT theirs_version bigint,
    OUT theirs_node text,
    OUT decision text,
    OUT decided_by text,
    OUT decided_at timestamptz,
    OUT error text
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachecluster_conflicts'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION cachecluster_conflicts() IS
'conflicts of the namespaces of this database that you may read: those that are pending, and the last that were decided';

CREATE VIEW cache_conflicts AS
    SELECT * FROM @extschema@.cachecluster_conflicts();

COMMENT ON VIEW cache_conflicts IS
'conflicts of the namespaces of this database that you may read: those that are pending, and the last that were decided';

GRANT SELECT ON cache_conflicts TO PUBLIC;

--
-- The protocol of the peers, for a role of their own
--

CREATE FUNCTION cachecluster_hello(message bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'cachecluster_hello'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cachecluster_hello(bytea) IS
'begins a session of another node; for the role by which the nodes connect';

CREATE FUNCTION cachecluster_apply(batch bytea)
RETURNS bytea
AS 'MODULE_PATHNAME', 'cachecluster_apply'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION cachecluster_apply(bytea) IS
'takes in what another node sends; for the role by which the nodes connect';

REVOKE ALL ON FUNCTION cachecluster_hello(bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION cachecluster_apply(bytea) FROM PUBLIC;

--
-- Statistics
--

CREATE FUNCTION pg_stat_get_cachecluster(
    OUT entries bigint,
    OUT tombstones bigint,
    OUT conflicts_pending bigint,
    OUT bytes_used bigint,
    OUT bytes_total bigint,
    OUT hits bigint,
    OUT misses bigint,
    OUT puts bigint,
    OUT deletes bigint,
    OUT evictions bigint,
    OUT expirations bigint,
    OUT expiration_lag interval,
    OUT rejected bigint,
    OUT journal_bytes bigint,
    OUT snapshot_at timestamptz,
    OUT started_at timestamptz,
    OUT load_ms bigint,
    OUT stats_reset timestamptz
)
AS 'MODULE_PATHNAME', 'cachecluster_stat'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION pg_stat_get_cachecluster() IS
'statistics: the cache of this node';

CREATE VIEW pg_stat_cachecluster AS
    SELECT * FROM @extschema@.pg_stat_get_cachecluster();

COMMENT ON VIEW pg_stat_cachecluster IS
'statistics: the cache of this node';

CREATE FUNCTION pg_stat_get_cachecluster_namespaces(
    OUT database text,
    OUT namespace text,
    OUT entries bigint,
    OUT bytes bigint,
    OUT hits bigint,
    OUT misses bigint,
    OUT puts bigint,
    OUT deletes bigint,
    OUT evictions bigint,
    OUT expirations bigint,
    OUT conflicts bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachecluster_stat_namespaces'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION pg_stat_get_cachecluster_namespaces() IS
'statistics: the namespaces of all databases on this node';

CREATE VIEW pg_stat_cachecluster_namespaces AS
    SELECT * FROM @extschema@.pg_stat_get_cachecluster_namespaces();

COMMENT ON VIEW pg_stat_cachecluster_namespaces IS
'statistics: the namespaces of all databases on this node';

CREATE FUNCTION pg_stat_get_cachecluster_peers(
    OUT node_id text,
    OUT node_name text,
    OUT address text,
    OUT state text,
    OUT joined_at timestamptz,
    OUT last_heard timestamptz,
    OUT down_since timestamptz,
    OUT rtt_ms double precision,
    OUT clock_skew_ms bigint,
    OUT sent_seq bigint,
    OUT acked_seq bigint,
    OUT lag_entries bigint,
    OUT lag interval,
    OUT entries_sent bigint,
    OUT entries_received bigint,
    OUT bytes_sent bigint,
    OUT bytes_received bigint,
    OUT reconnects bigint,
    OUT last_error text
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachecluster_stat_peers'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION pg_stat_get_cachecluster_peers() IS
'statistics: the other nodes, as this one sees them';

CREATE VIEW pg_stat_cachecluster_peers AS
    SELECT * FROM @extschema@.pg_stat_get_cachecluster_peers();

COMMENT ON VIEW pg_stat_cachecluster_peers IS
'statistics: the other nodes, as this one sees them';

CREATE FUNCTION pg_stat_cachecluster_reset()
RETURNS void
AS 'MODULE_PATHNAME', 'cachecluster_stat_reset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION pg_stat_cachecluster_reset() IS
'zeroes the counters of pg_stat_cachecluster and pg_stat_cachecluster_namespaces';

REVOKE ALL ON FUNCTION pg_stat_get_cachecluster() FROM PUBLIC;
REVOKE ALL ON FUNCTION pg_stat_get_cachecluster_namespaces() FROM PUBLIC;
REVOKE ALL ON FUNCTION pg_stat_get_cachecluster_peers() FROM PUBLIC;
REVOKE ALL ON FUNCTION pg_stat_cachecluster_reset() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION pg_stat_get_cachecluster() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pg_stat_get_cachecluster_namespaces() TO pg_read_all_stats;
GRANT EXECUTE ON FUNCTION pg_stat_get_cachecluster_peers() TO pg_read_all_stats;
GRANT SELECT ON pg_stat_cachecluster TO pg_read_all_stats;
GRANT SELECT ON pg_stat_cachecluster_namespaces TO pg_read_all_stats;
GRANT SELECT ON pg_stat_cachecluster_peers TO pg_read_all_stats;

--
-- Events
--

CREATE FUNCTION pg_stat_get_cachecluster_events(
    OUT id bigint,
    OUT at timestamptz,
    OUT kind text,
    OUT node text,
    OUT detail jsonb
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachecluster_events'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION pg_stat_get_cachecluster_events() IS
'what happened to the cache of this node since the server started, the last 1024 events';

CREATE VIEW cache_events AS
    SELECT * FROM @extschema@.pg_stat_get_cachecluster_events();

COMMENT ON VIEW cache_events IS
'what happened to the cache of this node since the server started, the last 1024 events; to be read by position (WHERE id > n)';

REVOKE ALL ON FUNCTION pg_stat_get_cachecluster_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_stat_get_cachecluster_events() TO pg_read_all_stats;
GRANT SELECT ON cache_events TO pg_read_all_stats;

--
-- Splits
--

CREATE FUNCTION pg_stat_get_cachecluster_splits(
    OUT id bigint,
    OUT peer text,
    OUT island_a text[],
    OUT island_b text[],
    OUT began_at timestamptz,
    OUT detected_at timestamptz,
    OUT healed_at timestamptz,
    OUT conflicts bigint,
    OUT kept_ours bigint,
    OUT kept_theirs bigint,
    OUT merged bigint,
    OUT deleted bigint,
    OUT deferred bigint
) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cachecluster_splits'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION pg_stat_get_cachecluster_splits() IS
'members that this node could not reach: the splits that are open and the last 100 that ended';

CREATE VIEW cache_splits AS
    SELECT * FROM @extschema@.pg_stat_get_cachecluster_splits();

COMMENT ON VIEW cache_splits IS
'members that this node could not reach, with the islands as seen from here (island_a is ours) and what became of conflicts with what they wrote: the splits that are open and the last 100 that ended';

REVOKE ALL ON FUNCTION pg_stat_get_cachecluster_splits() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_stat_get_cachecluster_splits() TO pg_read_all_stats;
GRANT SELECT ON cache_splits TO pg_read_all_stats;
