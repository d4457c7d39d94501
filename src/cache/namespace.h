/*-------------------------------------------------------------------------
 *
 * namespace.h
 *	  Declarations of namespaces: what cache_namespace and cache_grant say.
 *
 * A declaration is a system entry, so it replicates, is journalled and the
 * latest wins by its version, as a whole:
 *
 *	key		'n' database \0 name
 *	value	u8 format (1), u8 flags, u8 on_split, u8 spare,
 *			i64 ttl, i64 max_age, i64 grace (ms, 0: none),
 *			u64 max_memory (bytes, 0: none),
 *			u8 len, owner, u64 since,
 *			u8 n, n times (u8 len, role, u8 privileges, u64 since),
 *			u16 len, merge; u16 len, args; u16 len, fetcher
 *
 * Dropping a namespace deletes its declaration, which leaves a tombstone, and
 * raises its horizon.  "default" needs no declaration.  A namespace that was
 * learnt from a peer's entries holds them before its declaration comes.
 *
 * Roles are named, as nodes that are not each other's standbys have different
 * OIDs for them.  What keeps a role that was dropped and made anew from the
 * rights of the old one is `since`: the HLC at which the right was given.  For
 * each system (a primary and its standbys) and role another system entry says
 * since when the name means the role that it means now:
 *
 *	key		'o' u64 system, role
 *	value	u32 oid, u64 since
 *
 * and a right counts there only when it was given at or after that.  OID 0
 * says that the role was dropped, and counts since the entry's own version.
 * See funcs/privileges.h for who writes it.
 *
 * A database's namespaces belong to its name, for all nodes.  Which systems
 * have a database of that name that uses the cache is said by entries
 *
 *	key		'd' u64 system, database
 *	value	none
 *
 * so that a database that one system drops keeps its namespaces for the others.
 *
 * Locking: as cache.h; no lock may be held by the caller but for
 * cc_namespace_applied.
 *
 * May include: base/ and the headers of cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_NAMESPACE_H
#define CC_NAMESPACE_H

#include "cache/cache.h"

#define CC_MAX_ACL			64
#define CC_MAX_MERGE_TEXT	1024	/* merge, args and fetcher together */
#define CC_PUBLIC			"public"	/* in an ACL: everybody */

/* What a role may do; bits. */
#define CC_PRIV_READ		0x01
#define CC_PRIV_WRITE		0x02
#define CC_PRIV_ALL			(CC_PRIV_READ | CC_PRIV_WRITE)

/* What happens with a key that both sides of a partition wrote. */
typedef enum CcOnSplit
{
	CC_SPLIT_LATEST,
	CC_SPLIT_OLDEST_ISLAND,
	CC_SPLIT_LARGEST_ISLAND,
	CC_SPLIT_LONGEST_TTL,
	CC_SPLIT_MERGE,
	CC_SPLIT_MANUAL
} CcOnSplit;

#define CC_LAST_ON_SPLIT	CC_SPLIT_MANUAL

/* Their words */
extern const char *const cc_namespace_on_split[CC_LAST_ON_SPLIT + 1];

typedef struct CcAclItem
{
	char		role[CC_NAME_LEN];
	uint8		privileges;
	uint64		since;			/* HLC at which it was granted */
} CcAclItem;

typedef struct CcDeclaration
{
	uint64		version;		/* its HLC; 0: there is none */
	int64		ttl_ms;			/* as in CcNamespaceShared */
	int64		max_age_ms;
	int64		grace_ms;
	uint64		max_memory;		/* bytes */
	bool		require_ttl;
	bool		persist;
	bool		replicate;
	bool		sync;			/* writes => 'sync' */
	bool		sliding;
	uint8		on_split;		/* CcOnSplit */
	char		owner[CC_NAME_LEN]; /* empty: the owner of the database */
	uint64		owner_since;
	int			nacl;
	CcAclItem	acl[CC_MAX_ACL];
	char		merge[CC_MAX_MERGE_TEXT];
	char		args[CC_MAX_MERGE_TEXT];
	char		fetcher[CC_MAX_MERGE_TEXT];
} CcDeclaration;

/* What a namespace has of which nothing was said; "default" is everybody's. */
extern void cc_namespace_defaults(uint16 ns, CcDeclaration *d);

/*
 * Reads the declaration that is in force, or the defaults where there is
 * none; false when the namespace does not exist for users (it was never
 * declared here, or dropped, and is not "default").  One that cannot be read,
 * as a newer release wrote it, is none, but has its version.
 */
extern bool cc_namespace_read(uint16 ns, CcDeclaration *d);

/*
 * Stores a declaration in place of the one that has d->version; CC_UNCHANGED
 * when another one has come since that was read.  Every `since` that is 0 is
 * set to the HLC of now, the version to the new one, and *pos to the position
 * of the change.  CC_TOO_LARGE when it has too many grants.
 */
extern CcResult cc_namespace_store(uint16 ns, CcDeclaration *d, uint64 *pos);

/* An HLC that is at or above all that this node has given or seen. */
extern uint64 cc_namespace_now(void);

/*
 * The key of a declaration; returns its length, at most CC_SYSTEM_KEY_MAX.
 */
extern uint16 cc_namespace_key(uint16 ns, char *key);

/* Whether the namespace was declared once, and dropped since. */
extern bool cc_namespace_was_dropped(uint16 ns);

/*
 * Encodes into b, in place of what is there.  Decodes; false when malformed.
 */
extern void cc_namespace_encode(CcBuf *b, const CcDeclaration *d);
extern bool cc_namespace_decode(const char *value, Size len, CcDeclaration *d);

/*
 * A system entry has been stored: when it is a declaration (or its
 * tombstone) or a horizon, the namespace's shared words follow.  Under the
 * lock of the entry's partition; allocates nothing.
 */
extern void cc_namespace_applied(const CcEntry *e);

/* What happened to a namespace. */
typedef struct CcNamespaceNews
{
	uint16		ns;
	uint16		writer;			/* an origin of the node that did it */
	const char *what;			/* "declared", "changed", "dropped"; NULL: it
								 * was cleared */
} CcNamespaceNews;

/*
 * What the last call of cc_namespace_applied in this process has changed, for
 * an event once the lock is given up.  False when it was nothing new, and at
 * the second call.
 */
extern bool cc_namespace_take_news(CcNamespaceNews *news);

/*
 * Namespace and CC_NS_* flags of a system entry that is a declaration or its
 * tombstone; CC_NO_NS when it is something else.
 */
extern uint16 cc_namespace_declared(const CcEntry *e, uint32 *flags);

/*
 * Whether the entry may leave this node: not one of a local namespace, nor the
 * horizon of one.  Under the partition's lock.
 */
extern bool cc_namespace_travels(CcPartitionShared *p, CcHeaderShared *h);

/*
 * A change of a system entry that is made now (cc_cache_change) or at commit
 * (cc_xact_add).  It holds its key and value, but for that of a declaration,
 * and points to them: not to be copied.
 */
typedef struct CcSystemChange
{
	CcChange	c;
	char		key[CC_SYSTEM_KEY_MAX];
	char		value[16];
} CcSystemChange;

/* A role's binding; `since` as it counts. */
typedef struct CcBinding
{
	uint32		oid;
	uint64		since;
	uint64		version;		/* HLC of the entry */
} CcBinding;

/* The binding of a role's name on this system; false: there is none. */
extern bool cc_namespace_read_binding(const char *role, CcBinding *b);

/*
 * What makes it so: a binding in place of the one of that version (0: where
 * there is none).
 */
extern void cc_namespace_bind(CcSystemChange *s, const char *role, uint32 oid,
							  uint64 since, uint64 version);

/*
 * What stores a declaration, whatever is there (buf holds it); what deletes
 * it; and what raises the namespace's horizon.
 */
extern void cc_namespace_declare(CcSystemChange *s, uint16 ns,
								 const CcDeclaration *d, CcBuf *buf);
extern void cc_namespace_drop(CcSystemChange *s, uint16 ns);
extern void cc_namespace_clear(CcSystemChange *s, uint16 ns);

/* What says that this system uses the caches of a database, or no longer. */
extern void cc_namespace_use(CcSystemChange *s, const char *database, bool use);

/*
 * Whether this system is said to use the caches of a database; *was: that was
 * said once and taken back.  And whether any other system is; true also when
 * that cannot be told yet.  The latter walks the store.
 */
extern bool cc_namespace_used(const char *database, bool *was);
extern bool cc_namespace_used_elsewhere(const char *database);

#endif							/* CC_NAMESPACE_H */
