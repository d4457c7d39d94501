-- Increments add up, and only of what is an integer.
SELECT cache_wait_ready('60 s');

SELECT cache_incr('incr:1');
SELECT cache_incr('incr:1', 10), cache_incr('incr:1', by => -4);
SELECT cache_get('incr:1'), cache_get_jsonb('incr:1');
SELECT value, value_type, expires_at FROM cache_entry('incr:1');
SELECT sum(cache_incr('incr:2') - i) FROM generate_series(1, 1000) i;
SELECT cache_get('incr:2');

-- the number that was put there is where it starts
SELECT cache_put('incr:3', '41'), cache_incr('incr:3');
SELECT cache_put('incr:3', ' -7 '), cache_incr('incr:3', 0);
SELECT cache_put('incr:3', '5'::jsonb), cache_incr('incr:3', 2);
SELECT cache_delete('incr:3'), cache_incr('incr:3', 2);

-- a put ends the sum, and conditions see the counter
SELECT cache_put('incr:3', '100'), cache_incr('incr:3');
SELECT cache_put('incr:3', 'x', if_absent => true);
SELECT version AS v FROM cache_entry('incr:3') \gset
SELECT cache_incr('incr:3'), cache_put('incr:3', 'x', if_version => :v);

-- ttl counts when the key is created
SELECT cache_incr('incr:4', 1, '1 h'), cache_incr('incr:4', 1, '10 h');
SELECT cache_ttl('incr:4') BETWEEN '59 min' AND '60 min';
SELECT cache_touch('incr:4', '2 h'), cache_incr('incr:4');
SELECT cache_ttl('incr:4') BETWEEN '119 min' AND '120 min';

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
SELECT cache_incr('incr:1', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_incr('incr:1', 1, '-1 s');
\echo :LAST_ERROR_SQLSTATE
SELECT cache_get('incr:1');

SELECT count(cache_delete(k)) FROM cache_keys('incr:%') k;
