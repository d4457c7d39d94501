# The oldest node decides, but need not have the database of a namespace: then
# its log says so, nobody waits for it, and people decide where the database is.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 3, proxy => 1);
$group->start;
$group->wait_ready;

sub app
{
	my ($which, $sql) = @_;
	return $group->node($which)->safe_psql('app', $sql);
}

foreach my $which (2, 3)
{
	$group->psql($which, 'CREATE DATABASE app');
	app($which, q{
		CREATE EXTENSION cachecluster;
		CREATE FUNCTION of_ours(ours cache_entry, theirs cache_entry)
		RETURNS cache_entry LANGUAGE sql AS 'SELECT ours'});
}
app(2, q{SELECT cache_namespace('carts'),
	cache_set_merge('carts', 'of_ours'::regproc)});
$group->wait_converged;

my $offset = $group->log_offset(1);
$group->part([ 1, 2 ], [3]);
app($_, qq{SELECT cache_put('k', 'of $_', namespace => 'carts')}) foreach 2, 3;
$group->mend;
$group->wait_reachable($_, 3) foreach 1 .. 3;
$group->wait_for_log(1,
	qr/WARNING:  conflicts of the cache in database "app" cannot be merged/,
	$offset);
is($group->psql(1, q{SELECT conflicts_pending FROM cache_status()}), 1,
	'it waits');
is($group->psql($_, q{SELECT cache_wait_converged('30 s')}), 't',
	"node$_ does not") foreach 1 .. 3;
is(app($_, q{SELECT key, decision, ours_value FROM cache_conflicts}),
	"k|pending|of $_", "node$_ shows it") foreach 2, 3;

is(app(3, q{SELECT cache_heal('carts', winner => 'node2')}), 1,
	'decided where the database is');
$group->wait_converged;
is(app($_, q{SELECT cache_get('k', 'carts')}), 'of 2', "node$_ has it")
  foreach 2, 3;
is($group->psql($_, q{SELECT conflicts_pending FROM cache_status()}), 0,
	"node$_: nothing waits") foreach 1 .. 3;

done_testing();
