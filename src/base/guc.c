/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings, cachecluster.*.
 *
 * What may hold a password (peers, peer_conninfo) is shown to superusers
 * only.  Nothing here looks into a connection string: libpq does, where the
 * connection is made.
 *
 * Locking: none.
 *
 * May include: PostgreSQL's headers, base/.
 *
 *-------------------------------------------------------------------------
 */
#include "base/guc.h"

#include <limits.h>
#include <unistd.h>

#include "postmaster/postmaster.h"
#include "utils/guc.h"

int			cc_memory = 128 * 1024;
char	   *cc_node_name = "";
char	   *cc_advertise = "";
bool		cc_persist = true;
char	   *cc_peers = "";
char	   *cc_peer_conninfo = "";
int			cc_heartbeat_interval = 250;
int			cc_peer_timeout = 3000;
int			cc_min_nodes = 1;
int			cc_startup_timeout = 15000;
int			cc_journal_sync_mode = 1;
int			cc_max_value_size = 1024 * 1024;
int			cc_max_clock_skew = 5000;
int			cc_merge_timeout = 1000;
int			cc_sync_timeout = 5000;
bool		cc_transactional = true;

/* The numbers are those of CcJournalSync; cachecluster.c asserts it. */
static const struct config_enum_entry journal_sync_options[] = {
	{"off", 0, false},
	{"everysec", 1, false},
	{"always", 2, false},
	{NULL, 0, false}
};

static void
define_int(const char *name, const char *what, int *variable, int initial,
		   int min, int max, GucContext context, int flags)
{
	DefineCustomIntVariable(name, what, NULL, variable, initial, min, max,
							context, flags, NULL, NULL, NULL);
}

static void
define_string(const char *name, const char *what, char **variable,
			  GucContext context, int flags)
{
	DefineCustomStringVariable(name, what, NULL, variable, "", context, flags,
							   NULL, NULL, NULL);
}

static void
define_at_start(void)
{
	define_int("cachecluster.memory",
			   "Sets the shared memory that holds the cache.",
			   &cc_memory, cc_memory, CC_MEMORY_MIN_KB, MAX_KILOBYTES,
			   PGC_POSTMASTER, GUC_UNIT_KB);
	define_string("cachecluster.node_name",
				  "Sets the name of this node in views and logs.",
				  &cc_node_name, PGC_POSTMASTER, 0);
	define_string("cachecluster.advertise",
				  "Sets the host and port by which peers reach this node.",
				  &cc_advertise, PGC_POSTMASTER, 0);
	DefineCustomBoolVariable("cachecluster.persist",
							 "Keeps the cache in files.", NULL,
							 &cc_persist, true, PGC_POSTMASTER, 0,
							 NULL, NULL, NULL);
}

static void
define_peers(void)
{
	define_string("cachecluster.peers",
				  "Sets the connection strings of the nodes to join, "
				  "separated by semicolons.",
				  &cc_peers, PGC_SIGHUP, GUC_SUPERUSER_ONLY);
	define_string("cachecluster.peer_conninfo",
				  "Sets options that are added to every connection to a peer.",
				  &cc_peer_conninfo, PGC_SIGHUP, GUC_SUPERUSER_ONLY);
	define_int("cachecluster.heartbeat_interval",
			   "Sets the time between two heartbeats to a peer.",
			   &cc_heartbeat_interval, cc_heartbeat_interval, 10, 60 * 1000,
			   PGC_SIGHUP, GUC_UNIT_MS);
	define_int("cachecluster.peer_timeout",
			   "Sets the silence after which a peer is declared down.",
			   &cc_peer_timeout, cc_peer_timeout, 100, 60 * 60 * 1000,
			   PGC_SIGHUP, GUC_UNIT_MS);
	define_int("cachecluster.startup_timeout",
			   "Sets how long a starting node waits for a peer before it "
			   "serves what its own files hold.",
			   &cc_startup_timeout, cc_startup_timeout, 0, INT_MAX,
			   PGC_SIGHUP, GUC_UNIT_MS);
	define_int("cachecluster.max_clock_skew",
			   "Sets how far a peer's clock may be ahead to be followed.",
			   &cc_max_clock_skew, cc_max_clock_skew, 100, 60 * 60 * 1000,
			   PGC_SIGHUP, GUC_UNIT_MS);
	define_int("cachecluster.merge_timeout",
			   "Sets how long one call of a merge function may take.",
			   &cc_merge_timeout, cc_merge_timeout, 1, INT_MAX,
			   PGC_SIGHUP, GUC_UNIT_MS);
}

static void
define_writes(void)
{
	DefineCustomEnumVariable("cachecluster.journal_sync",
							 "Sets when the journal is flushed to disk.", NULL,
							 &cc_journal_sync_mode, cc_journal_sync_mode,
							 journal_sync_options, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	define_int("cachecluster.max_value_size",
			   "Sets the largest value that is taken.",
			   &cc_max_value_size, cc_max_value_size, 1024,
			   CC_VALUE_SIZE_MAX, PGC_SIGHUP, GUC_UNIT_BYTE);
	define_int("cachecluster.min_nodes",
			   "Sets how many nodes must be reachable for a write, "
			   "this one included.",
			   &cc_min_nodes, cc_min_nodes, 1, CC_MIN_NODES_MAX,
			   PGC_SIGHUP, 0);
	define_int("cachecluster.sync_timeout",
			   "Sets how long a synchronous write waits for the peers.",
			   &cc_sync_timeout, cc_sync_timeout, 0, INT_MAX,
			   PGC_USERSET, GUC_UNIT_MS);
	DefineCustomBoolVariable("cachecluster.transactional",
							 "Lets puts and deletes take effect at commit.",
							 NULL, &cc_transactional, true, PGC_USERSET, 0,
							 NULL, NULL, NULL);
}

void
cc_guc_define(void)
{
	define_at_start();
	define_peers();
	define_writes();
	MarkGUCPrefixReserved("cachecluster");
}

static void
host_name(char *out, Size size)
{
	if (gethostname(out, size) != 0)
		strlcpy(out, "localhost", size);
	out[size - 1] = '\0';
}

char *
cc_guc_node_name(char *out, Size size)
{
	char		host[256];

	if (cc_node_name[0] != '\0')
		strlcpy(out, cc_node_name, size);
	else if (cluster_name != NULL && cluster_name[0] != '\0')
		strlcpy(out, cluster_name, size);
	else
	{
		host_name(host, sizeof(host));
		snprintf(out, size, "%s:%d", host, PostPortNumber);
	}
	return out;
}

char *
cc_guc_address(char *out, Size size)
{
	char		host[256];

	if (cc_advertise[0] != '\0')
		strlcpy(out, cc_advertise, size);
	else
	{
		host_name(host, sizeof(host));
		snprintf(out, size, "host=%s port=%d", host, PostPortNumber);
	}
	return out;
}
