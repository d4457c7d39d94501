-- cache_clear empties a namespace in one step.
SELECT cache_wait_ready('60 s');
SELECT cache_put_many(array_agg('clear:' || i), array_agg(i::text)) FROM generate_series(1, 5000) i;
SELECT cache_count() >= 5000;
SELECT cache_clear();
SELECT cache_count(), cache_has('clear:1'), cache_get('clear:2');
SELECT count(*) FROM cache_keys();
SELECT count(*) FROM cache_entries();
SELECT cache_delete('clear:1'), cache_touch('clear:2', '1 h'), cache_delete_like('clear:%');
SELECT cache_put('clear:3', 'v', if_present => true);

-- what is put afterwards is there at once, and counts anew
SELECT cache_put('clear:1', 'new', if_absent => true), cache_get('clear:1'), cache_incr('clear:n');
SELECT cache_put_many(ARRAY['clear:2', 'clear:3'], ARRAY['2', '3']);
SELECT cache_keys();

-- in a transaction: at commit, for itself at once
BEGIN;
SELECT cache_put('clear:before', 'v'), cache_clear();
SELECT cache_count(), cache_get('clear:1'), cache_has('clear:before');
SELECT cache_put('clear:after', 'v'), cache_count();
SELECT cache_keys();
ROLLBACK;
SELECT cache_keys();

BEGIN;
SAVEPOINT s;
SELECT cache_clear();
ROLLBACK TO s;
SELECT cache_count();
SELECT cache_put('clear:before', 'v'), cache_clear(), cache_put('clear:after', 'v');
COMMIT;
SELECT cache_keys();

BEGIN READ ONLY;
SELECT cache_clear();
COMMIT;
SELECT cache_count();

SET cachecluster.transactional = off;
BEGIN;
SELECT cache_put('clear:at once', 'v'), cache_clear();
ROLLBACK;
RESET cachecluster.transactional;
SELECT cache_count();

-- an empty one, twice, and one that there is not
SELECT cache_clear(), cache_clear();
SELECT cache_clear('nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_clear(NULL);
\echo :LAST_ERROR_SQLSTATE
