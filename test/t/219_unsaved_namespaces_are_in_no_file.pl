# Of a namespace with persist => false neither keys nor values are in any file
# of the data directory, whatever was done with them; nor those that were saved
# before it was declared so.

use strict;
use warnings;

use File::Find;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheCluster::Cluster;

my $group = CacheCluster::Cluster->new(nodes => 1);
my $node = $group->node(1);
$group->start;
$group->wait_ready;

# The files below the cache's directory, or the data directory, with the text.
# The server's log stands elsewhere.
sub files_with
{
	my ($text, $below) = @_;
	my @found;
	find(
		sub {
			return unless -f;
			open my $file, '<:raw', $_ or return;
			local $/ = undef;
			my $content = <$file> // '';
			close $file;
			push @found, $File::Find::name if index($content, $text) >= 0;
		},
		$node->data_dir . ($below // '/cachecluster'));
	return @found;
}

sub in_files
{
	my ($text) = @_;
	return scalar files_with($text);
}

# What was written until now is on disk when this is.
my $marks = 0;

sub wait_for_files
{
	my $mark = 'mark-' . ++$marks . '-ends';
	$group->psql(1, qq{SELECT cache_put('$mark', 'x')});
	CacheCluster::Cluster::wait_until('the journal to be written',
		sub { in_files($mark) });
	return;
}

$group->psql(1, q{
	SELECT cache_namespace('secret', persist => false);
	SELECT cache_put('key-of-secret-1', 'value-of-secret-1',
					 namespace => 'secret');
	SELECT cache_put('key-of-secret-2', repeat('value-of-secret-2', 5000),
					 namespace => 'secret', ttl => '1 day');
	SELECT cache_incr('key-of-secret-3', 12345, namespace => 'secret');
	SELECT cache_delete('key-of-secret-1', namespace => 'secret');
	SELECT cache_touch('key-of-secret-2', '2 days', namespace => 'secret');
	SELECT cache_delete('key-of-secret-4', namespace => 'secret');
	SELECT cache_put('key-that-is-saved', 'value-that-is-saved')});
wait_for_files();
ok(in_files('key-that-is-saved'), 'other namespaces are in the journal');
is_deeply([ files_with('of-secret-') ], [], 'an unsaved one is not');

$node->stop('fast');
ok(in_files('value-that-is-saved'), 'others are saved by a clean stop');
is_deeply([ files_with('of-secret-', '') ],
	[], 'an unsaved one is in no file of the data directory then');
$node->start;
$group->wait_ready;
is( $group->psql(1, q{
		SELECT cache_get('key-that-is-saved'),
			cache_count(namespace => 'secret')}),
	'value-that-is-saved|0',
	'a node that is alone has lost it, and it alone');

# Saved first, and unsaved then.
$group->psql(1, q{
	SELECT cache_namespace('later');
	SELECT cache_put('key-of-later', 'value-of-later', namespace => 'later');
	SELECT cache_delete('gone-of-later', namespace => 'later')});
wait_for_files();
ok(in_files('key-of-later'), 'it is saved before it is declared unsaved');
$group->psql(1, q{SELECT cache_namespace('later', persist => false)});
CacheCluster::Cluster::wait_until('the files to be written anew',
	sub { !in_files('of-later') });
is( $group->psql(1, q{SELECT cache_get('key-of-later', namespace => 'later')}),
	'value-of-later',
	'what becomes unsaved goes from the files and stays in memory');
is($group->psql(1, q{SELECT cache_get('key-that-is-saved')}),
	'value-that-is-saved', 'others stay');
wait_for_files();
is_deeply([ files_with('of-later') ], [], 'and does not come back to them');

# What an older file still holds is not loaded.
$group->psql(1, q{
	SELECT cache_namespace('last');
	SELECT cache_put('key-of-last', 'value-of-last', namespace => 'last')});
wait_for_files();
$group->psql(1, q{SELECT cache_namespace('last', persist => false)});
$group->kill9(1);
$node->start;
$group->wait_ready;
is($group->psql(1, q{SELECT cache_count(namespace => 'last')}),
	0, 'a crash before the files are written anew brings nothing back');
CacheCluster::Cluster::wait_until('the old files to go',
	sub { !in_files('of-last') });

# And back: it is saved from then on, with what it holds.
$group->psql(1, q{
	SELECT cache_put('key-of-last', 'saved-of-last', namespace => 'last');
	SELECT cache_namespace('last', persist => true)});
CacheCluster::Cluster::wait_until('it to be saved',
	sub { in_files('saved-of-last') });
$group->kill9(1);
$node->start;
$group->wait_ready;
is($group->psql(1, q{SELECT cache_get('key-of-last', namespace => 'last')}),
	'saved-of-last', 'a namespace that is saved again survives a crash');

$group->stop;
done_testing();
