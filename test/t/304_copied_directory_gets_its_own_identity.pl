# A copy of a data directory must not become a second node under the same id:
# it starts with an identity of its own and an empty cache, whether it was
# copied file by file or by pg_basebackup. The original does not notice, and
# the two can be members of one group.

use strict;
use warnings;

use File::Copy;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, conf => q{
wal_level = replica
max_wal_senders = 4
});
my $id_sql = 'SELECT node_id FROM cache_status()';
my $node = $group->node(1);

$node->append_conf('pg_hba.conf', 'local replication all trust');
$group->start(1);
$group->wait_for(1, q{SELECT phase = 'ready' FROM cache_status()}, 'ready');
$group->psql(1, q{SELECT cache_put('k', 'v')});
my $id = $group->psql(1, $id_sql);

# As cp -r of the whole directory does: everything is equal, but for what
# makes it another node.
$node->stop('fast');
my $copy = $group->node(2)->data_dir;
rename $copy, "$copy.old" or die $!;
PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $copy);
chmod 0700, $copy;
foreach my $file ('postgresql.conf', 'pg_hba.conf')
{
	copy("$copy.old/$file", "$copy/$file") or die $!;
}
$node->start;
$group->wait_for(1, q{SELECT phase = 'ready' FROM cache_status()}, 'ready');
$group->start(2);
$group->wait_for(2, q{SELECT phase = 'ready' FROM cache_status()}, 'ready');
like(slurp_file($group->node(2)->logfile), qr/they were copied from another data directory/,
	'a copied directory is noticed');
isnt($group->psql(2, $id_sql), $id, 'it gets an identity of its own');
is($group->psql(1, $id_sql), $id, 'the original keeps its own');
$group->wait_reachable($_, 2) foreach 1, 2;
$group->wait_converged;
$group->same_digest('both hold the same, as two members');
is($group->psql(2, q{SELECT cache_get('k')}), 'v', 'which came from the peer');

my $copied_id = $group->psql(2, $id_sql);
$group->restart(2);
$group->wait_for(2, q{SELECT phase = 'ready' FROM cache_status()}, 'ready');
is($group->psql(2, $id_sql), $copied_id, 'a restart keeps the new identity');

# pg_basebackup leaves the files out by their names.
my $backup = $node->backup_dir . '/b';
$node->command_ok([ 'pg_basebackup', '-D', $backup, '-h', $node->host, '-p',
		$node->port, '--checkpoint', 'fast', '--no-sync' ],
	'pg_basebackup');
is(join(' ', map { s,.*/,,r } glob "$backup/cachecluster/*"),
	'', 'a base backup holds none of the files');

done_testing();
