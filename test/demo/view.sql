-- A page view: reads the session and puts its end off.
\set user random_zipfian(1, 20000, 1.1)
SELECT cache_get_jsonb('session:' || :user::int);
SELECT cache_touch('session:' || :user::int, '30 min');
