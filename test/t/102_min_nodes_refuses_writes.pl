# While fewer members than min_nodes can be reached writes are refused, and
# reads are not.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init;
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'cachecluster'\ncachecluster.memory = 16MB\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION cachecluster');

sub set_min_nodes
{
	my ($n) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET cachecluster.min_nodes = $n");
	$node->reload;
	$node->poll_query_until('postgres', 'SHOW cachecluster.min_nodes', $n)
	  or die "timed out waiting for min_nodes to be $n";
	return;
}

is( $node->safe_psql(
		'postgres', q{
		SELECT cache_wait_ready('60 s');
		SELECT cache_put('k', 'v')}),
	"t\nt",
	'one node is enough by default');

set_min_nodes(2);
foreach my $query (
	q{SELECT cache_put('k', 'w')},
	q{SELECT cache_delete('k')},
	q{SELECT cache_touch('k', '1 h')},
	q{SELECT cache_persist('k')},
	q{SELECT cache_incr('n')})
{
	my ($status, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
	like($err, qr/55000: too few nodes of the cache can be reached/, $query);
}
is( $node->safe_psql(
		'postgres', q{
		SELECT cache_get('k'), cache_ttl('k') IS NULL, cache_has('n');
		SELECT rejected FROM pg_stat_cachecluster}),
	"v|t|f\n5",
	'what was there is read, and nothing has changed');

set_min_nodes(1);
is($node->safe_psql('postgres', q{SELECT cache_put('k', 'w')}),
	't', 'writes are taken again');

done_testing();
