# cache_conflicts shows both values of a conflict, whatever their type: in full
# while it waits, cut but whole characters when it was decided. The log keeps the
# newest, as many as have room. What people write by cache_resolve has the type
# of what it replaces, or is refused.

use strict;
use warnings;

use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1);
$group->start;
$group->wait_ready;
$group->psql(1, q{
	SELECT cache_namespace('manual', on_split => 'manual'),
		cache_namespace('many', on_split => 'oldest_island')});
$group->wait_converged;

my @literal = ([ 'text', "'text of %d'" ],
	[ 'jsonb', q('{"of": %d}'::jsonb) ],
	[ 'bytea', q('\x00ff0%d'::bytea) ],
	[ 'null', 'NULL::text' ],
	[ 'long', q(repeat('äöü%d', 1000)) ]);
my $long = 1500;

sub value
{
	my ($literal, $which) = @_;
	$literal =~ s/%d/$which/;
	return $literal;
}

$group->part([1], [2]);
foreach my $which (1, 2)
{
	$group->psql($which, "SELECT cache_put('$_->[0]', "
		  . value($_->[1], $which)
		  . ", ttl => '$which hour', namespace => 'manual')")
	  foreach @literal;
	$group->psql($which, qq{
		SELECT cache_put('gone', 'soon', namespace => 'manual'),
			cache_put('slides', 'of $which', ttl => '1 hour', sliding => true,
				namespace => 'manual');
		SELECT count(cache_put('k' || i, repeat('$which', i * 2),
			namespace => 'many')) FROM generate_series(1, $long) i});
}
$group->psql(2, q{SELECT cache_delete('gone', 'manual')});
$group->rejoin;

is( $group->psql(1, q{
		SELECT key, ours_value, ours_node, theirs_value, theirs_node,
			decision, decided_by, decided_at, error
		FROM cache_conflicts
		WHERE namespace = 'manual' AND key NOT IN ('long', 'slides')
		ORDER BY key COLLATE "C"}),
	join("\n",
		'bytea|\x00ff01|node1|\x00ff02|node2|pending|||',
		'gone|soon|node1||node2|pending|||',
		'jsonb|{"of": 1}|node1|{"of": 2}|node2|pending|||',
		'null||node1||node2|pending|||',
		'text|text of 1|node1|text of 2|node2|pending|||'),
	'both values are shown, whatever their type');
is( $group->psql(2, q{
		SELECT ours_value = repeat('äöü2', 1000),
			theirs_value = repeat('äöü1', 1000)
		FROM cache_conflicts WHERE key = 'long'}),
	't|t', 'in full while the conflict waits');
is($group->psql($_, q{SELECT conflicts_pending FROM pg_stat_cachecluster}), 7,
	"node$_ counts what is pending") foreach 1, 2;

# Choices that a type or the memory refuses change nothing.
sub refused
{
	my ($key, $value, $error) = @_;
	my ($ret, $out, $err) = $group->node(1)->psql('postgres',
		"SELECT cache_resolve('$key', 'write', $value, 'manual')");
	like($err, $error, "$key: what is no value of its type is refused");
	return;
}

refused('jsonb', q('{"of'), qr/invalid input syntax for type json/);
refused('bytea', q('\xf'), qr/invalid hexadecimal data/);
refused('text', q(repeat('x', 1048577)), qr/too large/);
is($group->psql(1, q{SELECT conflicts_pending FROM cache_status()}), 7,
	'and all goes on to wait');
is($group->psql(1, q{
		SELECT cache_resolve('jsonb', 'write', '{"b": 1, "a":2}', 'manual'),
			cache_resolve('bytea', 'write', '\xBEEF', 'manual'),
			cache_resolve('text', 'write', '', 'manual'),
			cache_resolve('gone', 'theirs', namespace => 'manual'),
			cache_resolve('null', 'write', 'some', 'manual'),
			cache_resolve('slides', 'write', 'on', 'manual'),
			cache_resolve('long', 'theirs', namespace => 'manual')}),
	't|t|t|t|t|t|t', 'each is decided by its choice');
$group->wait_converged;
foreach my $which (1, 2)
{
	is( $group->psql($which, q{
			SELECT key, left(value, 20), value_type,
				expires_at BETWEEN now() + interval '55 min'
					AND now() + interval '61 min'
			FROM cache_entries('%', namespace => 'manual')
			ORDER BY key COLLATE "C"}),
		join("\n",
			'bytea|\xbeef|bytea|t', 'jsonb|{"a": 2, "b": 1}|jsonb|t',
			'long|' . 'äöü2' x 5 . '|text|f', 'null|some|text|t',
			'slides|on|text|t', 'text||text|t'),
		"node$which: with the type and the deadline of what this one served");
}
is( $group->psql(1, q{
		SELECT left(ours_value, 8), right(ours_value, 4) <> '',
			octet_length(ours_value) BETWEEN 1020 AND 1024,
			octet_length(theirs_value) BETWEEN 1020 AND 1024, decision
		FROM cache_conflicts WHERE key = 'long'}),
	'äöü1äöü1|t|t|t|theirs',
	'decided ones are shown cut, by whole characters');
is( $group->psql(2, q{
		SELECT string_agg(DISTINCT decided_by, ',') FROM cache_conflicts
		WHERE namespace = 'manual'}),
	'cache_resolve on node1', 'with who decided it, on the other node too');

# The log is bounded, and what is in it is whole.
foreach my $which (1, 2)
{
	my $other = 3 - $which;
	is( $group->psql($which, qq{
			SELECT count(*) BETWEEN 100 AND $long - 1,
				bool_and(ours_value = repeat('$which',
					least(substr(key, 2)::int * 2, 1024))),
				bool_and(theirs_value = repeat('$other',
					least(substr(key, 2)::int * 2, 1024))),
				bool_and(decided_at >= at),
				string_agg(DISTINCT decision || ' by ' || decided_by, ','),
				max(decided_at) = (SELECT max(decided_at) FROM cache_conflicts
								   WHERE decided_by LIKE 'oldest%')
			FROM cache_conflicts WHERE namespace = 'many'}),
		't|t|t|t|' . ($which == 1 ? 'ours' : 'theirs')
		  . ' by oldest_island on node1|t',
		"node$which: the log keeps the newest");
	is( $group->psql($which, q{
			SELECT conflicts FROM pg_stat_cachecluster_namespaces
			WHERE namespace = 'many'}),
		$long, "node$which: and the counter all");
}
is($group->psql(1, q{
		SELECT pg_stat_cachecluster_reset();
		SELECT conflicts FROM pg_stat_cachecluster_namespaces
		WHERE namespace = 'many'}), "\n0", 'until it is reset');
$group->same_contents('all hold the same');

# Many at once by people: not one is passed over.
$group->part([1], [2]);
$group->psql($_, qq{
	SELECT count(cache_put('all' || i, 'of $_', namespace => 'manual'))
	FROM generate_series(1, 20000) i}) foreach 1, 2;
$group->rejoin;
is($group->psql(1, q{SELECT cache_heal('manual')}), 20000,
	'cache_heal counts what waits for people');
is($group->psql(1, q{SELECT cache_heal('manual', 'node2')}), 20000,
	'and decides all of it for a winner');
$group->wait_converged;
is($group->psql($_, q{SELECT count(*) FROM cache_entries('all%', 'manual')
	WHERE value = 'of 2'}), 20000, "node$_ has the winner's") foreach 1, 2;
$group->same_contents('all hold the same after that');

# Whoever has a name after others does not see what they had.
$group->psql(1, q{SELECT cache_clear('manual'), cache_drop_namespace('many')});
$group->wait_converged;
$group->psql_all('CREATE ROLE newcomer');
$group->psql(1, q{SET ROLE newcomer; SELECT cache_namespace('many')});
$group->wait_converged;
is($group->psql($_, q{SET ROLE newcomer; SELECT count(*) FROM cache_conflicts}),
	0, "node$_: another owner of the name sees no value of the first")
  foreach 1, 2;
is($group->psql($_, 'SELECT count(*) FROM cache_conflicts'), 0,
	"node$_: what was cleared is shown no more") foreach 1, 2;

done_testing();
