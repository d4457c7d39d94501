/*-------------------------------------------------------------------------
 *
 * ddlhooks.h
 *	  What commands on roles and databases mean for the cache.
 *
 * A role that is dropped takes its rights with it, also when another is made
 * under its name.  A database that is dropped takes its namespaces with it,
 * unless another system of the group uses the caches of that name.  A database
 * that is renamed takes the declarations of its namespaces with it, not their
 * entries.  All of it happens when the command's transaction commits.
 *
 * Where the cache stores nothing (loading, closed) the commands pass, and it
 * learns of a role from its OID later on (funcs/privileges.h).
 *
 * Locking: none held.
 *
 * May include: PostgreSQL's headers, base/, cache/.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CC_DDLHOOKS_H
#define CC_DDLHOOKS_H

/* The object access hook; from _PG_init. */
extern void cc_ddlhooks_install(void);

#endif							/* CC_DDLHOOKS_H */
