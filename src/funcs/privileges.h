/*-------------------------------------------------------------------------
 *
 * privileges.h
 *	  Who may read and write a namespace.
 *
 * The owner (and whoever is a member of that role), a superuser, and those
 * to whom it was granted by name; in "default" everybody, until revoked.
 * Asked for the effective user at each call, so SECURITY DEFINER works.  What
 * was found is remembered by backend until the declaration changes or a role.
 *
 * A role is what its name meant when the right was given; see
 * cache/namespace.h.  The binding of a name is written here: when a right is
 * given, when it is first asked for on a system, when a role is dropped, and
 * when a name is found to mean another role than it did.  On a standby only
 * the first is written, as its catalogs may be behind.
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

/* Whether the effective user owns the namespace; the error names it. */
extern bool cc_privileges_owns(uint16 ns);
extern void cc_privileges_check_owner(uint16 ns);

/*
 * Makes the name mean the role that it means here now, for rights given from
 * now on.  Error 42704 when there is no such role (but "public").
 */
extern void cc_privileges_bind(const char *role);

/* Syscache callbacks, object access hook; from _PG_init. */
extern void cc_privileges_install(void);

#endif							/* CC_PRIVILEGES_H */
