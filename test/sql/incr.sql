-- Increments add up, and only of what is an integer.
SELECT cache_wait_ready('60 s');

SELECT cache_incr('incr:1');
SELECT cache_incr('incr:1', 10), cache_incr('incr:1', by => -4);
SELECT cache_get('incr:1'), cache_get_jsonb('incr:1');
SELECT value, value_type, expires_at FROM cache_entry('incr:1');
SELECT sum(cache_incr('incr:2') - i) FROM generate_series(1, 1000) i;
SELECT cache_get('incr:2');

-- the number that was put there is where it starts
SELECT cache_put('incr:3', '41');
SELECT cache_incr('incr:3');
SELECT cache_put('incr:3', ' -7 ');
SELECT cache_incr('incr:3', 0);
SELECT cache_put('incr:3', '5'::jsonb);
SELECT cache_incr('incr:3', 2);
SELECT cache_delete('incr:3');
SELECT cache_incr('incr:3', 2);

-- a put ends the sum, and conditions see the counter
SELECT cache_put('incr:3', '100');
SELECT cache_incr('incr:3');
SELECT cache_put('incr:3', 'x', if_absent => true);
SELECT version AS v FROM cache_entry('incr:3') \gset
SELECT cache_incr('incr:3'), cache_put('incr:3', 'x', if_version => :v);

-- ttl counts when the key is created
SELECT cache_incr('incr:4', 1, '1 h'), cache_incr('incr:4', 1, '10 h');
SELECT cache_ttl('incr:4') BETWEEN '59 min' AND '60 min';
SELECT cache_touch('incr:4', '2 h');
SELECT cache_incr('incr:4');
SELECT cache_ttl('incr:4') BETWEEN '119 min' AND '120 min';

-- increments act at once and stay, as with nextval
BEGIN;
SELECT cache_incr('incr:10');
SAVEPOINT s;
SELECT cache_incr('incr:10');
ROLLBACK TO s;
SELECT cache_get('incr:10');
ROLLBACK;
BEGIN READ ONLY;
SELECT cache_incr('incr:10');
COMMIT;
SELECT cache_get('incr:10');

-- and take with them what waits for the key
BEGIN;
SELECT cache_put('incr:12', '5');
SELECT cache_incr('incr:12');
ROLLBACK;
SELECT cache_get('incr:12');

-- a put in between starts the sum again; its deadline stays
SELECT cache_put('incr:10', '1000', '1 h');
SELECT cache_incr('incr:10', 1, '10 h');
SELECT cache_ttl('incr:10') BETWEEN '59 min' AND '60 min';
SELECT cache_persist('incr:10');
SELECT cache_ttl('incr:10') IS NULL, cache_incr('incr:10');
SELECT cache_put('incr:10', '7', keep_ttl => true);
SELECT cache_incr('incr:10');

-- what slides or has a grace counts as what it is
SELECT cache_put('incr:11', '5', '1 h', sliding => true, grace => '1 h');
SELECT cache_incr('incr:11');
SELECT cache_ttl('incr:11') BETWEEN '59 min' AND '60 min';

-- not a number: an error, and nothing is changed
SELECT cache_put('incr:5', 'five');
SELECT cache_incr('incr:5');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('incr:6', '1.5'), cache_put('incr:7', NULL),
       cache_put('incr:8', '1'::bytea), cache_put('incr:9', '');
SELECT cache_incr('incr:6');
SELECT cache_incr('incr:7');
SELECT cache_incr('incr:8');
SELECT cache_incr('incr:9');
SELECT key, value, value_type FROM cache_entries('incr:_');

-- beyond bigint: an error, and nothing is changed
SELECT cache_put('incr:5', '9223372036854775807');
SELECT cache_incr('incr:5');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_incr('incr:5', -1);
SELECT cache_incr('incr:5', 1);
SELECT cache_incr('incr:5', 9223372036854775807);
SELECT cache_get('incr:5');
SELECT cache_put('incr:5', '-9223372036854775808');
SELECT cache_incr('incr:5', -1);
SELECT cache_get('incr:5');
SELECT cache_put('incr:5', '9223372036854775808');
SELECT cache_incr('incr:5');

-- the getter of bytea does not read a counter
SELECT cache_get_bytea('incr:1');

-- bad arguments
SELECT cache_incr(NULL);
SELECT cache_incr('incr:1', 1, namespace => 'nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_incr('incr:1', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_incr('incr:1', 1, '-1 s');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get('incr:1');

SELECT count(cache_delete(k)) FROM cache_keys('incr:%') k;
