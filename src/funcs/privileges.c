/*-------------------------------------------------------------------------
 *
 * privileges.c
 *	  See privileges.h.
 *
 * What a user may do in a namespace is found once and remembered for as long
 * as nothing changes of which it was made: the declaration (its version), any
 * binding of a role (cc.state->bindings), roles, memberships and owners of
 * databases (invalidations of the syscache).  What was read is noted before it
 * is read, so that a change meanwhile only makes it be found again.
 *
 *-------------------------------------------------------------------------
 */
#include "funcs/privileges.h"

#include "access/xlog.h"
#include "base/compat.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"

/* Beside CC_PRIV_*: he owns it */
#define OWNS			0x80

/* Rights that a process remembers, a power of two */
#define REMEMBERED		64

typedef struct Remembered
{
	Oid			user;			/* InvalidOid: nothing yet */
	uint16		ns;
	uint8		rights;
	uint64		version;		/* of the declaration */
	uint64		bindings;
	uint64		generation;
} Remembered;

static Remembered remembered[REMEMBERED];

/* Rises with every invalidation that rights may depend on */
static uint64 generation = 1;

static void
forget(Datum arg, int cacheid, uint32 hashvalue)
{
	generation++;
}

void
cc_privileges_install(void)
{
	CacheRegisterSyscacheCallback(AUTHOID, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, forget, (Datum) 0);
}

/*
 * Writes a binding in place of the one that was read (version 0: none).
 * False when another one came first; without effect where nothing is stored.
 */
static bool
bind_role(const char *role, Oid oid, uint64 since, uint64 version)
{
	CcSystemChange s;
	CcOutcome	o;

	cc_namespace_bind(&s, role, oid, since, version);
	return cc_cache_change(&s.c, &o) != CC_UNCHANGED;
}

/*
 * Since when the role that has this name and OID now has been meant by the
 * name on this system.  False where it is not, or that cannot be told: on a
 * standby whose catalogs differ from what its primary has said.
 */
static bool
meant_since(const char *role, Oid oid, uint64 *since)
{
	CcBinding	b;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (!cc_namespace_read_binding(role, &b))
		{
			*since = 0;
			if (bind_role(role, oid, 0, 0))
				return true;
			continue;
		}
		*since = b.since;
		if (b.oid == oid)
			return true;
		if (RecoveryInProgress())
			return false;

		/*
		 * What was given since the last role of this name was dropped was
		 * meant for the next one.  Where nobody has said so, begin now.
		 */
		if (b.oid != InvalidOid)
			*since = cc_namespace_now();
		if (bind_role(role, oid, *since, b.version))
			return true;
	}
}

bool
cc_privileges_counts(const char *role, uint64 since, Oid *oid)
{
	uint64		meant;

	*oid = get_role_oid(role, true);
	return OidIsValid(*oid) && meant_since(role, *oid, &meant) &&
		since >= meant;
}

void
cc_privileges_bind(const char *role)
{
	uint64		meant;

	if (strcmp(role, CC_PUBLIC) != 0)
		(void) meant_since(role, get_role_oid(role, false), &meant);
}

/* Whether the user is, or is a member of, the owner. */
static bool
is_owner(uint16 ns, const CcDeclaration *d, Oid user)
{
	Oid			oid;

	if (d->owner[0] != '\0')
		return cc_privileges_counts(d->owner, d->owner_since, &oid) &&
			has_privs_of_role(user, oid);
	oid = get_database_oid(cc_namespace(ns)->database, true);
	return OidIsValid(oid) && cc_owns_database(oid, user);
}

static uint8
find_rights(uint16 ns, Oid user)
{
	CcDeclaration d;
	uint8		rights = 0;

	if (superuser_arg(user))
		return CC_PRIV_ALL | OWNS;
	if (!cc_namespace_read(ns, &d))
		return 0;
	if (is_owner(ns, &d, user))
		return CC_PRIV_ALL | OWNS;
	for (int i = 0; i < d.nacl; i++)
	{
		const CcAclItem *a = &d.acl[i];
		Oid			oid;

		if (strcmp(a->role, CC_PUBLIC) == 0 ||
			(cc_privileges_counts(a->role, a->since, &oid) &&
			 has_privs_of_role(user, oid)))
			rights |= a->privileges;
	}
	return rights;
}

static uint8
rights_of(uint16 ns, Oid user)
{
	Remembered *r = &remembered[(ns * 31 + user) % REMEMBERED];
	Remembered	now = {.user = user, .ns = ns};

	now.version = pg_atomic_read_u64(&cc_namespace(ns)->version);
	now.bindings = pg_atomic_read_u64(&cc.state->bindings);
	now.generation = generation;
	pg_read_barrier();
	if (r->user == user && r->ns == ns && r->version == now.version &&
		r->bindings == now.bindings && r->generation == now.generation)
		return r->rights;
	now.rights = find_rights(ns, user);
	*r = now;
	return now.rights;
}

/* What everybody may do, by one look at a shared word. */
static inline bool
is_public(uint16 ns, uint8 need)
{
	uint32		flags = pg_atomic_read_u32(&cc_namespace(ns)->flags);

	return ((need & CC_PRIV_READ) == 0 || (flags & CC_NS_PUBLIC_READ) != 0) &&
		((need & CC_PRIV_WRITE) == 0 || (flags & CC_NS_PUBLIC_WRITE) != 0);
}

bool
cc_privileges_has(uint16 ns, uint8 need)
{
	return is_public(ns, need) || (rights_of(ns, GetUserId()) & need) == need;
}

static void
raise_denied(uint16 ns, uint8 need, Oid oid)
{
	const char *name = cc_namespace(ns)->name;
	const char *user = GetUserNameFromId(oid, true);

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for cache namespace \"%s\"", name),
			 errhint("Its owner can grant it with cache_grant(%s, %s, '%s').",
					 quote_literal_cstr(name),
					 quote_literal_cstr(user != NULL ? user : "..."),
					 need == CC_PRIV_READ ? "read" :
					 need == CC_PRIV_WRITE ? "write" : "read, write")));
}

void
cc_privileges_check(uint16 ns, uint8 need)
{
	if (unlikely(!cc_privileges_has(ns, need)))
		raise_denied(ns, need, GetUserId());
}

void
cc_privileges_recheck(uint16 ns, Oid user)
{
	if (unlikely(cc_namespace_has(ns, CC_NS_DECLARED) &&
				 !is_public(ns, CC_PRIV_WRITE) &&
				 (rights_of(ns, user) & CC_PRIV_WRITE) == 0))
		raise_denied(ns, CC_PRIV_WRITE, user);
}

bool
cc_privileges_owns(uint16 ns)
{
	return (rights_of(ns, GetUserId()) & OWNS) != 0;
}

void
cc_privileges_check_owner(uint16 ns)
{
	if (!cc_privileges_owns(ns))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of cache namespace \"%s\"",
						cc_namespace(ns)->name)));
}
