# The merge functions of README.md, as they stand there, decide conflicts of two
# nodes, called as any function of a user's is: by a worker.

use strict;
use warnings;

use FindBin;
use Test::More;

use CacheCluster::Cluster;

# The examples of the chapter, those of cache_set_merge left out.
my $readme =
  PostgreSQL::Test::Utils::slurp_file("$FindBin::Bin/../../README.md");
my ($chapter) =
  $readme =~ /^### Merge functions\n(.*?)^### /ms or die 'no such chapter';
my @made = grep { !/cache_set_merge|cache_namespace/ && /^CREATE/m }
  map { split /\n\n/ } $chapter =~ /^```sql\n(.*?)^```/msg;
is(scalar @made, 6, 'the chapter makes five functions and a table');

my $group = CacheCluster::Cluster->new(nodes => 2, proxy => 1);
$group->start;
$group->wait_ready;
foreach my $node (1, 2)
{
	$group->psql($node, $_) foreach @made;
}
my %function = (
	carts => "'merge_and_note(cache_entry, cache_entry)'",
	numbers => "'merge_highest(cache_entry, cache_entry)'",
	sessions => "'merge_sessions(cache_entry, cache_entry)'",
	prices => "'merge_prices(cache_entry, cache_entry, jsonb)', "
	  . q{args => '{"bound": 5}'});
foreach my $namespace (sort keys %function)
{
	$group->psql(1, "SELECT cache_namespace('$namespace'),
		cache_set_merge('$namespace', $function{$namespace})");
}
$group->psql(1, q{
	SELECT cache_put('left', '["fig"]'::jsonb, namespace => 'carts'),
		cache_put('out', '{"began": "2026-01-01 08:00"}'::jsonb,
			namespace => 'sessions')});
$group->wait_converged;

$group->split([1], [2]);
$group->wait_peer_state(1, 2, 'down');
$group->wait_peer_state(2, 1, 'down');
$group->psql(1, q{
	SELECT cache_put('cart', '["apple", "pear"]'::jsonb, namespace => 'carts'),
		cache_put('left', '["fig", "kiwi"]'::jsonb, namespace => 'carts'),
		cache_put('number', '9', namespace => 'numbers'),
		cache_put('session', '{"began": "2026-01-01 09:00", "on": 1}'::jsonb,
			ttl => '1 hour', namespace => 'sessions'),
		cache_delete('out', namespace => 'sessions'),
		cache_put('near', '10.50', namespace => 'prices'),
		cache_put('far', '10', namespace => 'prices'),
		cache_put('alone', '1', namespace => 'prices')});
$group->psql(2, q{
	SELECT cache_put('cart', '["fig", "pear"]'::jsonb, namespace => 'carts'),
		cache_delete('left', namespace => 'carts'),
		cache_put('number', '12', namespace => 'numbers'),
		cache_put('session', '{"began": "2026-01-01 09:10", "on": 2}'::jsonb,
			ttl => '2 hours', namespace => 'sessions'),
		cache_put('out', '{"began": "2026-01-01 08:00", "on": 2}'::jsonb,
			namespace => 'sessions'),
		cache_put('near', '12', namespace => 'prices'),
		cache_put('far', '99', namespace => 'prices')});
my $long = $group->psql(2, q{
	SELECT expires_at FROM cache_entry('session', namespace => 'sessions')});
$group->mend;
$group->wait_ready;

# The resolver knows what was put off, and waits for all else.
$group->wait_converged(1);
$group->wait_for(2, q{SELECT conflicts_pending = 1 FROM cache_status()},
	'all that was decided');

foreach my $node (1, 2)
{
	is($group->psql($node, q{
			SELECT namespace, key, value FROM unnest(ARRAY['carts', 'numbers',
				'sessions']) ns, cache_entries(namespace => ns) ORDER BY 1, 2}),
		qq{carts|cart|["apple", "fig", "pear"]
carts|left|["fig", "kiwi"]
numbers|number|12
sessions|session|{"on": 1, "began": "2026-01-01 09:00"}},
		"simple forms, node$node");
	is($group->psql($node, q{
			SELECT expires_at FROM cache_entry('session', namespace => 'sessions')}),
		$long, "the session ends with the later end, node$node");
	is($group->psql($node, q{
			SELECT key, value FROM cache_entries(namespace => 'prices')
			WHERE key <> 'far' ORDER BY 1}),
		"alone|1\nnear|12", "full form, node$node");
	is($group->psql($node, q{
			SELECT key FROM cache_conflicts
			WHERE namespace = 'prices' AND decision = 'pending'}),
		'far', "what is too far apart waits, node$node");
}
is($group->psql(1, q{
		SELECT error FROM cache_conflicts WHERE decision = 'pending'}),
	'deferred by the merge function', 'and why');
is($group->psql(1, q{
		SELECT key, ours, theirs, merged FROM cart_conflicts ORDER BY key}),
	q{cart|["apple", "pear"]|["fig", "pear"]|["apple", "fig", "pear"]
left|["fig", "kiwi"]||["fig", "kiwi"]},
	'what was decided stands in the table of the resolver');
is($group->psql(2, 'SELECT count(*) FROM cart_conflicts'),
	'0', 'and nothing in that of the other');

is($group->psql(2, q{
		SELECT cache_resolve('far', 'write', '50', namespace => 'prices')}),
	't', 'a person decides the last one');
$group->wait_converged;
is($group->psql($_, q{SELECT cache_get('far', namespace => 'prices')}),
	'50', "as he said, node$_") foreach 1, 2;

done_testing();
