# Whatever happened to the files, the server starts and the cache serves. A
# torn tail is cut; a damaged block costs what it held and no more; a damaged
# snapshot, identity or directory costs at most everything. Each is said in
# the log. A disk that takes no more is survived in memory, and once it has
# room again the files are whole again.

use strict;
use warnings;

use Fcntl qw(SEEK_SET);
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 1,
	conf => "cachecluster.memory = 128MB\n");
my $node = $group->node(1);
my $dir = $node->data_dir . '/cachecluster';
my $id_sql = 'SELECT node_id FROM cache_status()';
my $offset;

sub put_many
{
	my ($prefix, $count, $size) = @_;
	$group->psql(1, qq{
		SELECT count(cache_put('$prefix' || i, repeat('x', $size)))
		FROM generate_series(1, $count) AS i});
	return;
}

sub count_of { return $group->psql(1, "SELECT count(*) FROM cache_keys('$_[0]%')"); }

# The newest file of a kind.
sub newest
{
	my ($kind) = @_;
	my ($generation) = sort { $b <=> $a }
	  map { /\.(\d+)$/ ? $1 : () } glob "$dir/pgsql_tmp.$kind.*";
	die "no $kind" unless defined $generation;
	return "$dir/pgsql_tmp.$kind.$generation";
}

# Turns a byte over; a negative place counts from the end.
sub flip
{
	my ($file, $at) = @_;
	my $size = -s $file;
	open my $f, '+<:raw', $file or die "$file: $!";
	$at += $size if $at < 0;
	seek $f, $at, SEEK_SET;
	read $f, my $byte, 1;
	seek $f, $at, SEEK_SET;
	print $f chr(ord($byte) ^ 0xff);
	close $f or die $!;
	return;
}

sub start
{
	$offset = $group->log_offset(1);
	$node->start;
	$group->wait_ready;
	return slurp_file($node->logfile, $offset);
}

sub crash { $group->kill9(1); return; }

# A journal of some blocks, all on disk.
sub begin
{
	my ($prefix) = @_;
	put_many($prefix, 5000, 400);
	$group->wait_for(1, q{
		SELECT journal_bytes > 2000000 FROM pg_stat_cachecluster},
		'the journal');
	$group->psql(1, "SELECT cache_put('$prefix-last', 'x')");
	CacheCluster::Cluster::wait_until('the last entry to be in the journal',
		sub { slurp_file(newest('journal')) =~ /$prefix-last/ });
	return;
}

start();
my $id = $group->psql(1, $id_sql);

begin('a');
crash();
truncate newest('journal'), (-s newest('journal')) - 10;
like(start(), qr/WARNING:  cachecluster: 1 damaged part in file/,
	'a torn tail is reported');
is(count_of('a-last'), '0', 'and costs what was written last');
is(count_of('a'), '5000', 'and no more');
crash();
unlike(start(), qr/damaged/, 'it was cut off');

begin('b');
crash();
flip(newest('journal'), 600000);
like(start(), qr/1 damaged part in file/, 'a damaged block is reported');
cmp_ok(count_of('b'), '>', 2500, 'what stands behind it is there');
cmp_ok(count_of('b'), '<=', 5001, 'and what is in it may not be');
is(count_of('a'), '5000', 'what was before it is');
$group->psql(1, q{SELECT cache_put('new', 'x')});
$offset = $group->log_offset(1);
$node->restart;
unlike(slurp_file($node->logfile, $offset), qr/damaged/,
	'the next start finds whole files');
is($group->psql(1, q{SELECT cache_get('new')}), 'x', 'with all entries');

$node->stop('fast');
flip(newest('snapshot'), 300000);
like(start(), qr/damaged part in file/, 'a damaged snapshot is reported');
cmp_ok(count_of('a'), '>', 1000, 'its other blocks are loaded');
is($group->psql(1, $id_sql), $id, 'the node is still the same');

$node->stop('fast');
append_to_file("$dir/pgsql_tmp.journal.999", 'rubbish' x 1000);
append_to_file("$dir/pgsql_tmp.snapshot.x", 'rubbish');
append_to_file("$dir/pgsql_tmp.snapshot.new", 'rubbish');
like(start(), qr/the head of file "pgsql_tmp.journal.999" is bad/,
	'a foreign file is reported');
cmp_ok(count_of('a'), '>', 1000, 'and costs nothing');
is($group->psql(1, $id_sql), $id, 'the node is still the same');

$node->stop('fast');
append_to_file("$dir/pgsql_tmp.marked", '');
start();
cmp_ok(count_of('a'), '==', 0, 'files that are marked are not loaded');
is($group->psql(1, $id_sql), $id, 'the node is still the same');
ok(!-e "$dir/pgsql_tmp.marked", 'the mark is gone with them');

# A disk that is full: the writer may not make any file longer than 1 MB.
sub limit_writer
{
	my ($limit) = @_;
	my $postmaster = $node->{_pid};
	foreach my $pid (split ' ',
		slurp_file("/proc/$postmaster/task/$postmaster/children"))
	{
		next
		  unless CacheCluster::Cluster::command_line($pid) =~ /cachecluster writer/;
		return system('prlimit', '--pid', $pid, "--fsize=$limit:") == 0;
	}
	return 0;
}

SKIP:
{
	skip 'no prlimit', 6 unless limit_writer(1000000);
	$offset = $group->log_offset(1);
	put_many('full', 5000, 400);
	$group->wait_for_log(1, qr/could not write file .*journal/, $offset);
	$group->wait_for_log(1, qr/the cache goes on in memory/, $offset);
	put_many('more', 5000, 400);
	is(count_of('full') + count_of('more'), 10000,
		'a full disk: the cache goes on in memory');
	$group->psql(1,
		q{ALTER SYSTEM SET cachecluster.journal_sync = 'always'});
	$node->reload;
	$group->wait_for(1, 'SHOW cachecluster.journal_sync', 'the setting',
		'always');
	$group->psql(1, q{SELECT cache_put('k', 'v')});
	is($group->psql(1, q{SELECT cache_get('k')}), 'v', 'nobody waits for it');
	my @warnings = slurp_file($node->logfile, $offset) =~ /WARNING/g;
	cmp_ok(scalar @warnings, '<', 10, 'the log is not filled');

	$group->psql(1, 'ALTER SYSTEM RESET cachecluster.journal_sync');
	$node->reload;
	limit_writer('unlimited');
	$group->wait_for_log(1, qr/the journal is written again/, $offset);
	$group->wait_for(1, q{
		SELECT string_agg(detail->>'state', ' ' ORDER BY id) = 'failing working'
		FROM cache_events WHERE kind = 'journal'}, 'the events that tell of it');
	crash();
	start();
	is(count_of('full') + count_of('more'), 10000,
		'with room again everything is saved');

	limit_writer(1000000);
	put_many('again', 20000, 400);
	crash();
	start();
	is(count_of('full') + count_of('more'), 10000,
		'a crash while the disk is full loses what came after');
	cmp_ok(count_of('again'), '<', 20000, 'and only that');
}

$node->stop('fast');
flip("$dir/pgsql_tmp.identity", 20);
like(start(), qr/the identity file is damaged/,
	'a damaged identity is reported');
isnt($group->psql(1, $id_sql), $id, 'the node has a new one');
is( $group->psql(
		1, q{
		SELECT kind, node, detail->>'not_loaded',
			detail->>'node_id' = (SELECT node_id FROM cache_status())
		FROM cache_events WHERE kind IN ('identity', 'started') ORDER BY id}),
	"identity|node1||t\nstarted|node1|the identity file is damaged|",
	'the events say so too');
is($group->psql(1, 'SELECT cache_count()'), '0', 'and an empty cache');

$node->stop('fast');
chmod 0500, $dir;
my $log = start();
SKIP:
{
	skip 'permissions do not bind this user', 2
	  if $log !~ /cannot be written/;
	like($log, qr/this node has a new identity, in memory only/,
		'a directory that cannot be written is reported');
	$group->psql(1, q{SELECT cache_put('k', 'v')});
	is($group->psql(1, q{SELECT cache_get('k')}), 'v', 'the cache serves');
}
$node->stop('fast');
chmod 0700, $dir;
start();
$group->psql(1, q{SELECT cache_put('k', 'v')});
$node->restart;
is($group->psql(1, q{SELECT cache_get('k')}), 'v',
	'writable again, it keeps entries');

done_testing();
