-- A user logs in: a session of 200 to 2,000 bytes that ends in 30 minutes.
\set user random_zipfian(1, 20000, 1.1)
\set lines random(3, 58)
SELECT cache_put('session:' || :user::int, jsonb_build_object('user', :user::int, 'csrf', md5(:user::text), 'cart', repeat('[8 articles in this order line] ', :lines::int)), ttl => '30 min');
