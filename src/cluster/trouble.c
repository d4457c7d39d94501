/*-------------------------------------------------------------------------
 *
 * trouble.c
 *	  What went wrong with a peer.  See trouble.h.
 *
 * Nothing here depends on a message's language: what libpq and the servers
 * say may be translated.
 *
 * Locking: none.
 *
 * May include: base/.
 *
 *-------------------------------------------------------------------------
 */
#include "cluster/trouble.h"

#include "base/codec.h"

bool
cc_trouble_is_new(CcTrouble *t, const char *text)
{
	uint32		hash = cc_crc32c(text, strlen(text));

	for (unsigned i = 0; i < Min(t->n, CC_TROUBLE_CAUSES); i++)
	{
		if (t->cause[i] == hash)
			return false;
	}
	t->cause[t->n++ % CC_TROUBLE_CAUSES] = hash;
	return true;
}

bool
cc_trouble_passes(const char *sqlstate)
{
	return strncmp(sqlstate, "08", 2) == 0 ||	/* connection */
		strncmp(sqlstate, "40", 2) == 0 ||	/* rollback */
		strncmp(sqlstate, "57", 2) == 0;	/* shutdown, start, cancel */
}

const char *
cc_trouble_cure(const char *sqlstate)
{
	static const struct
	{
		const char *prefix;
		const char *cure;
	}			cures[] = {
		{"28", "Check user and passfile in cachecluster.peer_conninfo, and the role and pg_hba.conf there."},
		{"42501", "Grant EXECUTE on functions cachecluster_hello(bytea) and cachecluster_apply(bytea) there, and USAGE on their schema, to the role by which peers connect."},
		{"42883", "Update the extension cachecluster there."},
		{"3D000", "Name a database that exists there by dbname in cachecluster.peer_conninfo."},
		{"53300", "Each node needs one connection from each of the others: raise max_connections there, or the limit of the role."}
	};

	for (unsigned i = 0; i < sizeof(cures) / sizeof(cures[0]); i++)
	{
		if (strncmp(sqlstate, cures[i].prefix, strlen(cures[i].prefix)) == 0)
			return cures[i].cure;
	}
	return NULL;
}

/* It looks like "...: SEVERITY:  XXXXX: text"; the last one counts. */
const char *
cc_trouble_sqlstate(const char *message, char sqlstate[6])
{
	const char *found = NULL;

	for (const char *c = strstr(message, ":  "); c != NULL;
		 c = strstr(c + 1, ":  "))
	{
		if (strspn(c + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
			c[8] == ':' && c[9] == ' ')
		{
			memcpy(sqlstate, c + 3, 5);
			sqlstate[5] = '\0';
			found = c + 10;
		}
	}
	return found;
}

void
cc_trouble_line(const char *message, char *out, Size size)
{
	static const char prefix[] = "connection to server ";
	static const char verb[] = "failed: ";
	const char *text;
	Size		len;

	if (strncmp(message, prefix, sizeof(prefix) - 1) == 0 &&
		(text = strstr(message, verb)) != NULL)
		message = text + sizeof(verb) - 1;
	len = Min(strcspn(message, "\n"), size - 1);
	memcpy(out, message, len);
	out[len] = '\0';
}
