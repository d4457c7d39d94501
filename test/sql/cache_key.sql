-- cache_key: different parts never give one key, and a key with ':%' behind it
-- is a pattern for what is below it.
SELECT cache_wait_ready('60 s');

SELECT cache_key('user', '42'), cache_key('user'), cache_key(VARIADIC ARRAY['a', 'b', 'c']);
SELECT cache_key('a:b'), cache_key('50%'), cache_key('a_b'), cache_key('a\b'), cache_key('~');
SELECT cache_key(''), cache_key('', ''), cache_key('a', ''), cache_key('a');
SELECT cache_key(U&'\00E4', U&'\+01F600');

SELECT cache_key(VARIADIC '{}'::text[]);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_key('a', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_key(VARIADIC ARRAY[['a'], ['b']]);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_key(VARIADIC NULL) IS NULL AS "no parts known";
SELECT cache_key();
\echo :LAST_ERROR_SQLSTATE

-- all of up to three of these parts, some of which look like what others become
CREATE TEMP TABLE parts (p text);
INSERT INTO parts SELECT * FROM unnest(ARRAY['', 'a', ':', '%', '_', '\', '~', '~c', '~e', '~t',
    'c', 'e', 'a:', '~:', ':~']);
CREATE TEMP TABLE keys AS
SELECT ARRAY[p] AS parts FROM parts
UNION ALL SELECT ARRAY[a.p, b.p] FROM parts a, parts b
UNION ALL SELECT ARRAY[a.p, b.p, c.p] FROM parts a, parts b, parts c;
SELECT count(*) = count(DISTINCT cache_key(VARIADIC parts)) AS all_different FROM keys;

-- nothing of LIKE's is left in a key
SELECT count(*) FROM keys WHERE cache_key(VARIADIC parts) ~ '[%_\\]';

-- the pattern finds whole segments only: keys whose first parts are these
SELECT count(*) AS wrong FROM (SELECT parts FROM keys WHERE cardinality(parts) = 1) a, keys b
WHERE (cache_key(VARIADIC b.parts) LIKE cache_key(VARIADIC a.parts) || ':%')
   <> (cardinality(b.parts) > 1 AND b.parts[1] = a.parts[1]);
SELECT count(*) AS wrong FROM (SELECT parts FROM keys WHERE cardinality(parts) = 2) a, keys b
WHERE (cache_key(VARIADIC b.parts) LIKE cache_key(VARIADIC a.parts) || ':%')
   <> (cardinality(b.parts) > 2 AND b.parts[1:2] = a.parts);

SELECT cache_put_many(ARRAY[cache_key('user', '4'), cache_key('user', '4', 'posts'),
    cache_key('user', '42', 'posts'), cache_key('user', '4:posts'), cache_key('user', '%', 'posts')],
    ARRAY['1', '2', '3', '4', '5']);
SELECT key, value FROM cache_entries(cache_key('user', '4') || ':%');
SELECT key FROM cache_entries(cache_key('user', '%') || ':%');
SELECT cache_delete_like(cache_key('user', '4') || ':%');
SELECT cache_keys(cache_key('user') || ':%');
SELECT cache_delete_like('user:%');

-- immutable: in an index, and computed when planned
CREATE TEMP TABLE users (id int, team text);
CREATE INDEX ON users (cache_key('user', team));
EXPLAIN (COSTS OFF) SELECT FROM users WHERE team = cache_key('a', 'b:c');

SELECT length(cache_key(repeat('_', 1000000))), length(cache_key(VARIADIC array_agg('x'::text))) FROM generate_series(1, 1000);
