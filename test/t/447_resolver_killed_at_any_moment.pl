# Whoever decides is killed with -9 at random moments of heals, twenty times:
# the server, the process that calls merge functions, or the one that talks to
# peers. Every conflict is decided all the same, and identically everywhere;
# and when nobody is killed the function is called once for each.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $seed = $ENV{CC_TEST_SEED} || time;
srand $seed;
note("CC_TEST_SEED=$seed");

my $nodes = 3;
my $keys = 2500;
my $group = CacheCluster::Cluster->new(nodes => $nodes, proxy => 1, conf => q{
cachecluster.heartbeat_interval = 50ms
cachecluster.peer_timeout = 600ms
cachecluster.journal_sync = off
restart_after_crash = on
});
$group->start;
$group->wait_ready;

# Calls are counted by a sequence, which no rollback turns back; the values say
# what each was made of.
$group->psql_all(q{
	CREATE SEQUENCE calls;
	CREATE TABLE audit (key text);
	CREATE FUNCTION joined(ours cache_entry, theirs cache_entry)
	RETURNS cache_entry LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM nextval('calls');
		IF ours.value LIKE 'slow%' THEN
			PERFORM pg_sleep(0.001);
		END IF;
		INSERT INTO audit VALUES (ours.key);
		ours.value := least(ours.value, theirs.value) || '+'
			|| greatest(ours.value, theirs.value);
		RETURN ours;
	END $$});
$group->psql(1, q{
	SELECT cache_namespace('joined');
	SELECT cache_set_merge('joined', 'joined(cache_entry,cache_entry)');
	SELECT cache_namespace('oldest', on_split => 'oldest_island')});
$group->wait_converged;

sub write_apart
{
	my ($value) = @_;
	foreach my $which (1, $nodes)
	{
		$group->psql($which, qq{
			SELECT count(cache_put('k' || i, '$value$which', namespace => n))
			FROM unnest('{joined,oldest}'::text[]) n, generate_series(1, $keys) i});
	}
	return;
}

# How many keys a node serves as merged of this round; undef while it is down.
sub decided
{
	my ($which, $value) = @_;
	my ($status, $out) = $group->node($which)->psql('postgres', qq{
		SELECT count(*) FROM cache_entries('%', namespace => 'joined')
		WHERE value = '${value}1+$value$nodes'});
	return $status == 0 ? $out : undef;
}

sub all_decided
{
	my ($value, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$group->wait_reachable($_, $nodes) foreach 1 .. $nodes;
	$group->wait_converged;
	my %found;
	foreach my $which (1 .. $nodes)
	{
		$found{$which} = $group->psql($which, q{
			SELECT (SELECT conflicts_pending FROM cache_status()), n, value,
				count(*)
			FROM unnest('{joined,oldest}'::text[]) n,
				LATERAL cache_entries('%', namespace => n)
			GROUP BY n, value ORDER BY n, value});
		is($found{$which},
			"0|joined|${value}1+$value$nodes|$keys\n0|oldest|${value}1|$keys",
			"$what: node$which has every value, made of both");
	}
	$group->same_contents("$what: all hold the same");
	return;
}

# Nobody is killed.
$group->part([1], [ 2 .. $nodes ]);
write_apart('calm');
$group->rejoin;
all_decided('calm', 'nobody killed');
is( $group->psql(1, q{
		SELECT (SELECT last_value FROM calls), count(*), count(DISTINCT key)
		FROM audit}),
	"$keys|$keys|$keys",
	'the function was called once for each conflict');
is($group->psql($_, 'SELECT count(*) FROM audit'), 0, "and not on node$_")
  foreach 2 .. $nodes;

# A process of a node's server, if it has one. Our workers that have no database
# are not in pg_stat_activity.
sub process
{
	my ($which, $type) = @_;
	my $postmaster = $group->node($which)->{_pid} or return;
	open my $file, '<', "/proc/$postmaster/task/$postmaster/children"
	  or return;
	my $children = readline($file) // '';
	foreach my $pid (split ' ', $children)
	{
		return $pid
		  if CacheCluster::Cluster::command_line($pid) =~ /cachecluster $type/;
	}
	return;
}

# Who decides now: the node on which a merger runs, if one does.
sub resolver
{
	foreach my $which (1 .. $nodes)
	{
		return $which if process($which, 'merger');
	}
	return;
}

my $kills = 0;
my %killed;
my $round = 0;
while ($kills < 20 && $round < 20)
{
	$round++;
	my $value = "slow$round-";
	$group->part([1], [ 2 .. $nodes ]);
	write_apart($value);
	$group->mend;

	# Up to four in one heal: each when some more have been decided.
	foreach my $step (1 .. 4)
	{
		last if $kills == 20;
		my $which;
		CacheCluster::Cluster::wait_until('a merger, or the end of the heal',
			sub {
				return 1 if defined($which = resolver());
				return !grep { (decided($_, $value) // 0) < $keys } 1 .. $nodes;
			});
		last unless defined $which;
		my $target = (decided($which, $value) // 0) + int(rand(200));
		CacheCluster::Cluster::wait_until("$target decided on node$which",
			sub {
				my $n = decided($which, $value);
				return !defined $n || $n >= $target || !process($which, 'merger');
			});
		my @types = qw(postmaster merger replicator);
		my $type = $types[ $kills % @types ];
		if ($type eq 'postmaster')
		{
			$group->kill9($which);
			$group->start($which);
		}
		else
		{
			my $pid = process($which, $type) or next;
			kill 'KILL', $pid or next;
			CacheCluster::Cluster::wait_until("the $type to be gone",
				sub { CacheCluster::Cluster::is_dead($pid) });
			$group->node($which)->poll_query_until('postgres', 'SELECT true')
			  or die "node$which does not come back";
		}
		$kills++;
		$killed{$type}++;
		note("heal $round: killed the $type of node$which");
	}
	all_decided($value, "heal $round");
}
is($kills, 20, 'twenty were killed: '
	  . join(', ', map { "$killed{$_} times the $_" } sort keys %killed));

my $calls = $group->psql(1, 'SELECT last_value FROM calls')
  + $group->psql(2, 'SELECT last_value FROM calls');
cmp_ok($calls, '>=', $keys * ($round + 1),
	'calls that were lost were made again');

done_testing();
