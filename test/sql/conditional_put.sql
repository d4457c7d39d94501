-- A put with a condition stores only where the condition holds.
SELECT cache_wait_ready('60 s');

-- if_absent
SELECT cache_put('cond:1', 'first', if_absent => true);
SELECT cache_put('cond:1', 'second', if_absent => true);
SELECT cache_get('cond:1');
SELECT cache_delete('cond:1'), cache_put('cond:1', 'third', if_absent => true);
SELECT cache_get('cond:1');

-- a stored NULL is there
SELECT cache_put('cond:1', NULL), cache_put('cond:1', 'x', if_absent => true);
SELECT cache_get('cond:1') IS NULL;

-- if_present
SELECT cache_put('cond:2', 'x', if_present => true);
SELECT cache_has('cond:2');
SELECT cache_put('cond:2', 'x'), cache_put('cond:2', 'y', if_present => true);
SELECT cache_get('cond:2');

-- if_version: the very version that was read
SELECT version AS v FROM cache_entry('cond:2') \gset
SELECT cache_put('cond:2', 'z', if_version => :v);
SELECT cache_put('cond:2', 'lost', if_version => :v);
SELECT cache_get('cond:2');

-- a touch does not change the version, a put of the same value does
SELECT version AS v FROM cache_entry('cond:2') \gset
SELECT cache_touch('cond:2', '1 h'), cache_put('cond:2', 'z', if_version => :v);
SELECT cache_put('cond:2', 'z', if_version => :v);

-- never where there is nothing
SELECT version AS v FROM cache_entry('cond:2') \gset
SELECT cache_delete('cond:2'), cache_put('cond:2', 'x', if_version => :v);
SELECT cache_has('cond:2');

-- versions of a key rise, whatever replaces what
SELECT cache_put('cond:2', 'a');
SELECT version AS a FROM cache_entry('cond:2') \gset
SELECT cache_delete('cond:2'), cache_put('cond:2', 'b');
SELECT version > :a AND version > :v AS rose FROM cache_entry('cond:2') \gset
SELECT :'rose';

-- a condition that fails deletes nothing either
SELECT cache_put('cond:2', 'x', '0', if_absent => true);
SELECT cache_get('cond:2');
SELECT cache_put('cond:2', 'x', '0', if_present => true);
SELECT cache_has('cond:2');

-- NULL is no condition
SELECT cache_put('cond:2', 'c', if_absent => NULL, if_present => NULL,
                 if_version => NULL, keep_ttl => NULL, immediate => NULL);
SELECT cache_get('cond:2');

-- contradictions
SELECT cache_put('cond:2', 'x', if_absent => true, if_present => true);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('cond:2', 'x', if_absent => true, if_version => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT cache_put('cond:2', 'x', if_version => 0);
\echo :LAST_ERROR_SQLSTATE

SELECT count(cache_delete(k)) FROM cache_keys('cond:%') k;
