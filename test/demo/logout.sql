\set user random_zipfian(1, 20000, 1.1)
SELECT cache_delete('session:' || :user::int);
