/*-------------------------------------------------------------------------
 *
 * ddlhooks.c
 *	  See ddlhooks.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcs/ddlhooks.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "cache/namespace.h"
#include "cache/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

static object_access_hook_type previous_hook = NULL;

/* No setting refuses what follows from a command of PostgreSQL's. */
static void
at_commit(CcSystemChange *s)
{
	CcOutcome	o;

	(void) cc_xact_add(&s->c, &o, true);
}

/*
 * The row of an object as the command under way has just made it, by the OID
 * in the first column; NULL when there is none.
 */
static HeapTuple
read_new_row(Oid catalog, Oid index, AttrNumber oid_column, Oid oid)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, oid_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, index, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return tuple;
}

/*
 * Roles
 */

static bool
is_named(const char *role)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		CcDeclaration d;

		if (!cc_namespace_read((uint16) ns, &d))
			continue;
		if (strcmp(d.owner, role) == 0)
			return true;
		for (int i = 0; i < d.nacl; i++)
		{
			if (strcmp(d.acl[i].role, role) == 0)
				return true;
		}
	}
	return false;
}

/*
 * From the commit on the name means nobody.  Where the binding is another one
 * by then its OID tells as much: that of the role that was dropped, which the
 * next one has not, or of one that this transaction made and gave rights to.
 */
static void
role_dropped(Oid oid)
{
	char	   *role = GetUserNameFromId(oid, true);
	CcBinding	b = {.version = 0};
	CcSystemChange s;

	if (role == NULL ||
		(!cc_namespace_read_binding(role, &b) && !is_named(role)))
		return;
	cc_namespace_bind(&s, role, InvalidOid, 0, b.version);
	at_commit(&s);
}

/*
 * What was given to the name since its last role was dropped is meant for
 * this one; said now, as a standby cannot.
 */
static void
role_made(Oid oid)
{
	HeapTuple	tuple = read_new_row(AuthIdRelationId, AuthIdOidIndexId,
									 Anum_pg_authid_oid, oid);
	CcBinding	b;
	CcSystemChange s;
	const char *role;

	if (!HeapTupleIsValid(tuple))
		return;
	role = NameStr(((Form_pg_authid) GETSTRUCT(tuple))->rolname);
	if (!cc_namespace_read_binding(role, &b) || b.oid != InvalidOid)
		return;
	cc_namespace_bind(&s, role, oid, b.since, b.version);
	at_commit(&s);
}

/*
 * Databases
 */

/* This system has no database of this name any more. */
static void
leave_database(const char *database)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	bool		was;
	CcSystemChange s;

	if (cc_namespace_used(database, &was))
	{
		cc_namespace_use(&s, database, false);
		at_commit(&s);
	}
	if (cc_namespace_used_elsewhere(database))
		return;
	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		CcDeclaration d;

		if (strcmp(cc_namespace(ns)->database, database) != 0)
			continue;
		if (cc_namespace_read((uint16) ns, &d) && d.version != 0)
		{
			cc_namespace_drop(&s, (uint16) ns);
			at_commit(&s);
		}
		cc_namespace_clear(&s, (uint16) ns);
		at_commit(&s);
	}
}

/* Declares a namespace under the database's new name, if nobody has. */
static void
copy_namespace(const CcDeclaration *d, const char *name, const char *to)
{
	uint16		ns = cc_state_namespace(to, name);
	CcDeclaration there;
	CcSystemChange s;
	CcBuf		buf;

	if (ns == CC_NO_NS)
	{
		ereport(WARNING,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cache namespace \"%s\" is lost with the old name of "
						"its database", name),
				 errdetail("There are too many cache namespaces.")));
		return;
	}
	if (cc_namespace_read(ns, &there) && there.version != 0)
		return;
	if (cc_namespace_was_dropped(ns))
	{
		cc_namespace_clear(&s, ns);
		at_commit(&s);
	}
	cc_buf_init(&buf);
	cc_namespace_declare(&s, ns, d, &buf);
	at_commit(&s);
	cc_buf_free(&buf);
}

static void
database_renamed(const char *from, const char *to)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);
	bool		was;
	CcSystemChange s;

	for (uint32 ns = CC_NS_SYSTEM + 1; ns < n; ns++)
	{
		CcDeclaration d;

		if (strcmp(cc_namespace(ns)->database, from) == 0 &&
			cc_namespace_read((uint16) ns, &d) && d.version != 0)
			copy_namespace(&d, cc_namespace(ns)->name, to);
	}
	if (cc_namespace_used(from, &was))
	{
		cc_namespace_use(&s, to, true);
		at_commit(&s);
	}
	leave_database(from);
}

static void
database_altered(Oid oid)
{
	char	   *from = get_database_name(oid);
	HeapTuple	tuple = read_new_row(DatabaseRelationId, DatabaseOidIndexId,
									 Anum_pg_database_oid, oid);
	const char *to;

	if (from == NULL || !HeapTupleIsValid(tuple))
		return;
	to = NameStr(((Form_pg_database) GETSTRUCT(tuple))->datname);
	if (strcmp(from, to) != 0)
		database_renamed(from, to);
}

static void
database_dropped(Oid oid)
{
	char	   *database = get_database_name(oid);

	if (database != NULL)
		leave_database(database);
}

static void
watch(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (previous_hook)
		previous_hook(access, classId, objectId, subId, arg);
	if ((classId != AuthIdRelationId && classId != DatabaseRelationId) ||
		cc.store == NULL || !cc_state_takes_writes())
		return;
	if (classId == AuthIdRelationId && access == OAT_DROP)
		role_dropped(objectId);
	else if (classId == AuthIdRelationId && access == OAT_POST_CREATE)
		role_made(objectId);
	else if (classId == DatabaseRelationId && access == OAT_DROP)
		database_dropped(objectId);
	else if (classId == DatabaseRelationId && access == OAT_POST_ALTER)
		database_altered(objectId);
}

void
cc_ddlhooks_install(void)
{
	previous_hook = object_access_hook;
	object_access_hook = watch;
}
