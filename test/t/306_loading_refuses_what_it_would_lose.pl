# While the files are loaded a node stores nothing. Whatever would be lost then
# is refused: a row's invalidation above all, but also what names no entry, as
# cache_clear, and a TRUNCATE that empties a namespace.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX qw(mkfifo);
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 1);
$group->start;
$group->wait_ready;
my $node = $group->node(1);
$group->psql(1, q{
	CREATE TABLE t (id int);
	CREATE TRIGGER r AFTER INSERT ON t
		FOR EACH ROW EXECUTE FUNCTION cache_invalidate('default', 'row:{id}');
	CREATE TRIGGER s AFTER TRUNCATE ON t
		FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate('default', 'row:{id}');
	SELECT cache_put('row:1', 'cached');
});
$group->stop(1);

# The writer waits for whoever opens the other end.
my ($newest) = sort { $b <=> $a }
  map { /pgsql_tmp\.journal\.(\d+)$/ ? $1 : () } glob $node->data_dir . '/cachecluster/*';
my $pipe = $node->data_dir . '/cachecluster/pgsql_tmp.journal.' . ($newest + 1);
mkfifo($pipe, 0600) or die "mkfifo $pipe: $!";
$group->start(1);
$group->wait_for(1, q{SELECT phase = 'loading' FROM cache_status()}, 'phase loading');

foreach my $sql (
	q{INSERT INTO t VALUES (1)},
	q{TRUNCATE t},
	q{SELECT cache_put('k', 'v')},
	q{SELECT cache_delete('row:1')},
	q{SELECT cache_delete_many('{row:1}')},
	q{SELECT cache_delete_like('row:%')},
	q{SELECT cache_clear()},
	q{SET cachecluster.transactional = off; SELECT cache_clear()})
{
	my ($status, undef, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
	like($err, qr/ERROR:  55000: the cache is not ready/, "refused: $sql");
}
is($group->psql(1, q{SELECT cache_get('row:1') IS NULL}), 't', 'reads miss');

# It is not there when the files are walked over once more.
open my $file, '>', $pipe or die "open $pipe: $!";
unlink $pipe;
close $file;
$group->wait_ready(1);
is($group->psql(1, q{SELECT cache_get('row:1'), count(*) FROM t}), 'cached|0',
	'nothing was changed, neither here nor there');
$group->psql(1, q{TRUNCATE t});
is($group->psql(1, q{SELECT cache_get('row:1') IS NULL}), 't', 'now it is');

done_testing();
