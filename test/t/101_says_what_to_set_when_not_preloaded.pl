# Without shared_preload_libraries the extension can be created, and each of
# its functions says what to set; with it, the same functions work.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION cachecluster');

foreach my $query (
	q{SELECT cache_put('k', 'v')},
	q{SELECT cache_put('k', '1'::jsonb)},
	q{SELECT cache_put('k', '\x01'::bytea)},
	q{SELECT cache_get('k')},
	q{SELECT cache_get_jsonb('k')},
	q{SELECT cache_get_bytea('k')},
	q{SELECT * FROM cache_entry('k')},
	q{SELECT cache_has('k')},
	q{SELECT cache_delete('k')},
	q{SELECT cache_touch('k', '1 s')},
	q{SELECT cache_persist('k')},
	q{SELECT cache_ttl('k')},
	q{SELECT cache_incr('k')},
	q{SELECT cache_count()},
	q{SELECT * FROM cache_keys()},
	q{SELECT * FROM cache_entries()},
	q{SELECT * FROM cache_status()},
	q{SELECT cache_wait_ready('1 s')},
	q{SELECT cache_wait_converged('1 s')},
	q{SELECT cache_join('host=127.0.0.1')},
	q{SELECT cache_forget('x')},
	q{SELECT cachecluster_hello('x')},
	q{SELECT cachecluster_apply('x')},
	q{SELECT * FROM pg_stat_cachecluster},
	q{SELECT * FROM pg_stat_cachecluster_namespaces},
	q{SELECT * FROM pg_stat_cachecluster_peers},
	q{SELECT * FROM cache_events},
	q{SELECT pg_stat_cachecluster_reset()})
{
	my ($status, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
	like(
		$err,
		qr/55000: cachecluster is not loaded\nHINT: .*shared_preload_libraries/,
		$query);
}

$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'cachecluster'\ncachecluster.memory = 16MB\n");
$node->restart;
is( $node->safe_psql(
		'postgres', q{
		SELECT cache_wait_ready('60 s');
		SELECT cache_put('k', 'v');
		SELECT cache_get('k')}),
	"t\nt\nv",
	'preloaded it works');

# More processes than the memory has room for: said at the start, with a cure.
$node->stop;
$node->append_conf('postgresql.conf',
	"max_connections = 250000\ncachecluster.memory = 16MB\n");
my $log_offset = -s $node->logfile;
is($node->start(fail_ok => 1), 0, 'too little memory for the processes');
like(
	slurp_file($node->logfile, $log_offset),
	qr/"cachecluster.memory" is too small.*HINT:  Raise cachecluster.memory to/s,
	'the log says how much it takes');

done_testing();
