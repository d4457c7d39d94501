/*-------------------------------------------------------------------------
 *
 * privileges.h
 *	  Who may read and write a namespace.
 *
 * The owner (and whoever is a member of that role), a superuser, and those
 * to whom it was granted by name; in "default" everybody, until revoked.
 * Asked for the effective user at each call, so SECURITY DEFINER works, and
 * once more for him before the commit of what waits.  What was found is
 * remembered by backend until the declaration changes or a role.
 *
 * A role is what its name meant when the right was given; see
 * cache/namespace.h.  The binding of a name is written here when it is first
 * asked for on a system, also because a right is given, and when the name is
 * found to mean another role than it did; funcs/ddlhooks.c writes it when a
 * role is dropped or made.  On a standby only the first is written, as its
 * catalogs may be behind.
 *
 * Locking: none held by the caller; may raise errors.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_PRIVILEGES_H
#define CC_PRIVILEGES_H

#include "postgres.h"

#include "cache/namespace.h"

/* Whether the effective user may do it (CC_PRIV_*; all of them). */
extern bool cc_privileges_has(uint16 ns, uint8 need);

/* Error 42501 when not.  Cheap where everybody may. */
extern void cc_privileges_check(uint16 ns, uint8 need);

/*
 * The same for what a user has written in a transaction that now commits:
 * error 42501 when he may not any more.  Else what waits could be brought into
 * a namespace that somebody else has declared under the same name meanwhile.
 * Of one that is gone nothing is left to be protected.
 */
extern void cc_privileges_recheck(uint16 ns, Oid user);

/* Whether the effective user owns the namespace; the error names it. */
extern bool cc_privileges_owns(uint16 ns);
extern void cc_privileges_check_owner(uint16 ns);

/*
 * Makes the name mean the role that it means here now, for rights given from
 * now on.  Error 42704 when there is no such role (but "public").
 */
extern void cc_privileges_bind(const char *role);

/*
 * Whether a right that was given to a role of this name at that time counts on
 * this system; *oid is the role then.
 */
extern bool cc_privileges_counts(const char *role, uint64 since, Oid *oid);

/* Syscache callbacks; from _PG_init. */
extern void cc_privileges_install(void);

#endif							/* CC_PRIVILEGES_H */
