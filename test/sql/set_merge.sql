-- Which functions can be set to merge conflicts, and by whom.
SELECT cache_wait_ready('60 s');
-- what a statement says: "ok", or SQLSTATE, message, detail and hint
CREATE FUNCTION says(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text; detail text;
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE VIEW shown AS
    SELECT name, on_split, merge_function FROM cache_namespaces
    WHERE database = current_database() ORDER BY name COLLATE "C";
\pset format unaligned

CREATE SCHEMA "of the Shop";
CREATE FUNCTION "of the Shop"."Newest"(cache_entry, cache_entry) RETURNS cache_entry
    LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION whole(ours cache_entry, theirs cache_entry, state jsonb) RETURNS cache_merge
    LANGUAGE plpgsql AS $$ BEGIN RETURN ROW('ours', NULL, NULL, state); END $$;
CREATE FUNCTION some_keys(namespace text, node text, state jsonb, OUT keys text[], OUT state_after jsonb)
    LANGUAGE sql AS $$ SELECT NULL::text[], NULL::jsonb $$;
CREATE FUNCTION rows_of_keys(text, text, jsonb) RETURNS TABLE (k text[], s jsonb)
    LANGUAGE sql AS $$ SELECT NULL::text[], NULL::jsonb $$;

-- both forms, by the name and by the signature; what was set stands in the view
SELECT cache_namespace('carts');
SELECT cache_set_merge('carts', '"of the Shop"."Newest"(cache_entry, cache_entry)');
SELECT * FROM shown WHERE name = 'carts';
SELECT cache_set_merge('carts', 'whole(cache_entry, cache_entry, jsonb)', '{"limit": 3}', 'some_keys(text, text, jsonb)');
SELECT * FROM shown WHERE name = 'carts';
SELECT cache_set_merge('carts', 'whole(cache_entry, cache_entry, jsonb)'::regprocedure, fetcher => 'rows_of_keys(text, text, jsonb)');
SELECT cache_namespace('by_name');
SELECT cache_set_merge(namespace => 'by_name', merge => 'whole'::regproc);
SELECT * FROM shown WHERE name IN ('carts', 'by_name');

-- another policy keeps the function, so that merge can be set again
SELECT cache_namespace('carts', on_split => 'latest');
SELECT cache_namespace('carts', on_split => 'merge');
SELECT * FROM shown WHERE name = 'carts';

SELECT says($$SELECT cache_namespace('plain', on_split => 'merge')$$);

-- what cannot merge, and what would
CREATE FUNCTION strict_one(cache_entry, cache_entry) RETURNS cache_entry LANGUAGE sql STRICT AS 'SELECT $1';
CREATE FUNCTION strict_whole(cache_entry, cache_entry, jsonb) RETURNS cache_merge LANGUAGE sql STRICT
    AS $$ SELECT ROW('ours', NULL, NULL, NULL)::cache_merge $$;
CREATE FUNCTION many(cache_entry, cache_entry) RETURNS SETOF cache_entry LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION one(cache_entry) RETURNS cache_entry LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION nothing() RETURNS cache_entry LANGUAGE sql AS 'SELECT NULL::cache_entry';
CREATE FUNCTION of_json(cache_entry, cache_entry, json) RETURNS cache_merge LANGUAGE sql
    AS 'SELECT NULL::cache_merge';
CREATE FUNCTION mixed(cache_entry, cache_entry) RETURNS cache_merge LANGUAGE sql AS 'SELECT NULL::cache_merge';
CREATE FUNCTION mixed(cache_entry, cache_entry, jsonb) RETURNS cache_entry LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION of_text(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION of_any(anyelement, anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION with_default(cache_entry, cache_entry, cache_entry DEFAULT NULL) RETURNS cache_entry
    LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION variadic_one(cache_entry, VARIADIC cache_entry[]) RETURNS cache_entry LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE proc(cache_entry, cache_entry) LANGUAGE sql AS '';
CREATE AGGREGATE agg(cache_entry) (SFUNC = "of the Shop"."Newest", STYPE = cache_entry);
CREATE SCHEMA other;
CREATE TYPE other.cache_entry AS (namespace text, key text, value text, value_type text,
    expires_at timestamptz, version bigint, origin text, written_at timestamptz);
CREATE FUNCTION of_others(other.cache_entry, other.cache_entry) RETURNS other.cache_entry
    LANGUAGE sql AS 'SELECT $1';
SELECT says($$SELECT cache_set_merge('plain', 'whole'::regproc)$$);
SELECT cache_namespace('plain');
SELECT f, says(format('SELECT cache_set_merge(''plain'', %L::regproc)', f)) FROM unnest(ARRAY[
    'strict_one', 'strict_whole', 'many', 'one', 'nothing', 'of_json', 'of_text', 'of_any', 'with_default', 'variadic_one',
    'proc', 'agg', 'of_others', 'mixed', 'nowhere', 'no.where', '0', '4294967295']) f;
SELECT f, says(format('SELECT cache_set_merge(''plain'', ''whole''::regproc, fetcher => %L::regproc)', f)) FROM unnest(ARRAY[
    'whole', 'of_text', 'mixed', 'no.where', '0']) f;
CREATE FUNCTION text_keys(text, text, jsonb, OUT text, OUT jsonb) LANGUAGE sql AS $$ SELECT NULL::text, NULL::jsonb $$;
CREATE FUNCTION unnamed(text, text, jsonb) RETURNS record LANGUAGE sql AS $$ SELECT NULL::text[], NULL::jsonb $$;
SELECT says($$SELECT cache_set_merge('plain', 'whole'::regproc, fetcher => 'text_keys'::regproc)$$),
       says($$SELECT cache_set_merge('plain', 'whole'::regproc, fetcher => 'unnamed'::regproc)$$);
SELECT says($$SELECT cache_set_merge('plain', NULL)$$), says($$SELECT cache_set_merge(NULL, 'whole'::regproc)$$),
       says($$SELECT cache_set_merge('', 'whole'::regproc)$$), says($$SELECT cache_set_merge('plain', 'whole'::regproc, 'x')$$);

-- names and args have a bound together
SELECT says(format('SELECT cache_set_merge(''plain'', ''whole''::regproc, %L)', to_jsonb(repeat('x', n))))
FROM unnest(ARRAY[900, 1024, 100000]) n;
SELECT * FROM shown WHERE name = 'plain';

-- the owner alone, who must be able to execute it, as must whoever sets it
CREATE ROLE regress_shop;
CREATE ROLE regress_guest;
CREATE ROLE regress_helper IN ROLE regress_shop;
SELECT format('GRANT TEMPORARY ON DATABASE %I TO regress_shop', current_database()) \gexec
SET ROLE regress_shop;
SELECT cache_namespace('shop');
SET ROLE regress_guest;
SELECT says($$SELECT cache_set_merge('shop', 'whole'::regproc)$$), says($$SELECT cache_set_merge('default', 'whole'::regproc)$$);
RESET ROLE;
CREATE FUNCTION secret(cache_entry, cache_entry) RETURNS cache_entry LANGUAGE sql AS 'SELECT $1';
REVOKE ALL ON FUNCTION secret FROM PUBLIC;
GRANT EXECUTE ON FUNCTION secret TO regress_helper;
SELECT says($$SELECT cache_set_merge('shop', 'secret'::regproc)$$);
SET ROLE regress_helper;
SELECT says($$SELECT cache_set_merge('shop', 'secret'::regproc)$$);
SET ROLE regress_shop;
SELECT says($$SELECT cache_set_merge('shop', 'secret'::regproc)$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION secret TO regress_shop;
SET ROLE regress_shop;
SELECT says($$SELECT cache_set_merge('shop', 'secret'::regproc)$$), says($$SELECT cache_set_merge('shop', 'whole'::regproc)$$);
RESET ROLE;
SELECT * FROM shown WHERE name = 'shop';

-- at once, whatever becomes of the transaction, and in a read only one
BEGIN;
SELECT cache_set_merge('shop', 'secret'::regproc);
ROLLBACK;
SELECT * FROM shown WHERE name = 'shop';
BEGIN READ ONLY;
SELECT cache_set_merge('shop', 'whole'::regproc);
ROLLBACK;
SELECT * FROM shown WHERE name = 'shop';

SELECT cache_drop_namespace(n) FROM unnest(ARRAY['shop', 'plain', 'carts', 'by_name']) n;
SELECT says($$SELECT cache_set_merge('shop', 'whole'::regproc)$$);
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM regress_shop', current_database()) \gexec
DROP VIEW shown;
DROP SCHEMA other CASCADE;
DROP AGGREGATE agg(cache_entry);
DROP SCHEMA "of the Shop" CASCADE;
DROP FUNCTION whole, some_keys, rows_of_keys, strict_one, strict_whole, many, one, nothing, of_json,
    mixed(cache_entry, cache_entry), mixed(cache_entry, cache_entry, jsonb), of_text, of_any, with_default,
    variadic_one, text_keys, unnamed, secret, says;
DROP PROCEDURE proc;
DROP ROLE regress_helper, regress_guest, regress_shop;
