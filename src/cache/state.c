/*-------------------------------------------------------------------------
 *
 * state.c
 *	  See state.h.
 *
 *-------------------------------------------------------------------------
 */
#include "cache/state.h"

#include "base/codec.h"
#include "base/events.h"

CcShared	cc;

Size
cc_state_size(uint32 origin_cap)
{
	return MAXALIGN(sizeof(CcStateShared)) +
		MAXALIGN(origin_cap * sizeof(CcOriginShared)) +
		5 * origin_cap * sizeof(pg_atomic_uint64) +
		MAXALIGN(origin_cap * sizeof(pg_atomic_uint32)) +
		MAXALIGN(2 * origin_cap * sizeof(uint16)) +
		CC_MAX_NAMESPACES * sizeof(CcNamespaceShared);
}

/* Takes len bytes of the segment behind *at; returns their offset. */
static Size
carve(Size *at, Size len)
{
	Size		offset = *at;

	*at += MAXALIGN(len);
	return offset;
}

static Size
carve_u64(Size *at, uint32 n)
{
	Size		offset = carve(at, n * sizeof(pg_atomic_uint64));
	pg_atomic_uint64 *a = (pg_atomic_uint64 *) ((char *) cc.state + offset);

	for (uint32 i = 0; i < n; i++)
		pg_atomic_init_u64(&a[i], 0);
	return offset;
}

void
cc_state_init(void *mem, uint32 origin_cap)
{
	CcStateShared *s = mem;
	Size		at = MAXALIGN(sizeof(CcStateShared));
	uint16		ns;

	memset(s, 0, sizeof(*s));
	cc.state = s;
	s->origin_cap = origin_cap;
	s->persist = true;
	pg_atomic_init_u32(&s->self, CC_NO_ORIGIN);
	pg_atomic_init_u32(&s->phase, CC_STARTING);
	pg_atomic_init_u32(&s->was_ready, 0);
	pg_atomic_init_u32(&s->alone, 0);
	pg_atomic_init_u32(&s->closing, 0);
	pg_atomic_init_u32(&s->commits, 0);
	pg_atomic_init_u64(&s->hlc, 0);
	pg_atomic_init_u64(&s->bindings, 0);
	pg_atomic_init_u64(&s->hlc_bound, 0);
	pg_atomic_init_u64(&s->hlc_wanted, 0);
	pg_atomic_init_u64(&s->sync_wanted, 0);
	pg_atomic_init_u64(&s->rewrite_wanted, 0);
	pg_atomic_init_u64(&s->hlc_given_up, 0);
	pg_atomic_init_u32(&s->file_marked, 0);
	pg_atomic_init_u64(&s->journaled, 0);
	pg_atomic_init_u64(&s->synced, 0);
	pg_atomic_init_u32(&s->journal_failed, 0);
	pg_atomic_init_u32(&s->bad_blocks, 0);
	pg_atomic_init_u32(&s->seeds_version, 0);
	pg_atomic_init_u64(&s->sweep_cycle, 0);
	for (int i = 0; i < CC_INVALIDATED; i++)
		pg_atomic_init_u64(&s->invalidated[i], 0);
	cc_replay_init(&s->replay);
	pg_atomic_init_u32(&s->nkeeping, 0);
	pg_atomic_init_u32(&s->heal_waits, 0);
	pg_atomic_init_u32(&s->nown_lists, 0);
	pg_atomic_init_u32(&s->norigins, 0);
	pg_atomic_init_u32(&s->nnamespaces, 0);

	s->origins = carve(&at, origin_cap * sizeof(CcOriginShared));
	s->vv = carve_u64(&at, origin_cap);
	s->vvj = carve_u64(&at, origin_cap);
	s->g = carve_u64(&at, origin_cap);
	s->stable = carve_u64(&at, origin_cap);
	s->beyond = carve_u64(&at, origin_cap);
	s->flags = carve(&at, origin_cap * sizeof(pg_atomic_uint32));
	s->hash = carve(&at, 2 * origin_cap * sizeof(uint16));
	s->namespaces = carve(&at, CC_MAX_NAMESPACES * sizeof(CcNamespaceShared));
	for (uint32 i = 0; i < origin_cap; i++)
		pg_atomic_init_u32(cc_origin_flags(i), 0);
	for (uint32 i = 0; i < 2 * origin_cap; i++)
		cc_state_array(uint16, hash)[i] = CC_NO_ORIGIN;

	ns = cc_state_namespace("", "");
	Assert(ns == CC_NS_SYSTEM);
	(void) ns;
}

const char *
cc_state_phase_name(CcPhase phase)
{
	switch (phase)
	{
		case CC_STARTING:
			return "starting";
		case CC_LOADING:
			return "loading";
		case CC_JOINING:
			return "joining";
		case CC_PENDING:
			return "pending";
		case CC_READY:
			return "ready";
		case CC_CLOSED:
			return "closed";
	}
	return "unknown";
}

void
cc_state_set_phase(CcPhase phase)
{
	uint32		old = pg_atomic_read_u32(&cc.state->phase);

	if (phase == CC_READY)
		pg_atomic_write_u32(&cc.state->was_ready, 1);
	/* another process may close the cache while we decide */
	while (old != CC_CLOSED &&
		   !pg_atomic_compare_exchange_u32(&cc.state->phase, &old, phase))
		;
	if (old != CC_CLOSED && old != phase)
		cc_event(CC_EVENT_PHASE, NULL, "\"phase\": \"%s\", \"was\": \"%s\"",
				 cc_state_phase_name(phase), cc_state_phase_name(old));
}

/* Slot of the table of origins where this one stands or would stand. */
static uint32
origin_slot(const CcNodeId *node, uint64 incarnation)
{
	uint32		mask = 2 * cc.state->origin_cap;
	uint64		h;
	uint32		slot;

	/* ids are random bits */
	memcpy(&h, node->b, sizeof(h));
	slot = (uint32) ((h ^ (incarnation * UINT64CONST(0x9E3779B97F4A7C15))) % mask);
	for (;;)
	{
		uint16		i = cc_state_array(uint16, hash)[slot];

		if (i == CC_NO_ORIGIN)
			return slot;
		pg_read_barrier();
		if (cc_origin(i)->incarnation == incarnation &&
			cc_id_cmp(&cc_origin(i)->node, node) == 0)
			return slot;
		slot = (slot + 1) % mask;
	}
}

uint16
cc_state_find_origin(const CcNodeId *node, uint64 incarnation)
{
	return cc_state_array(uint16, hash)[origin_slot(node, incarnation)];
}

uint16
cc_state_origin(const CcNodeId *node, uint64 incarnation)
{
	uint16		i = cc_state_find_origin(node, incarnation);
	uint32		slot;
	uint32		n;

	if (i != CC_NO_ORIGIN)
		return i;

	cc_lock_exclusive(&cc.state->lock);
	slot = origin_slot(node, incarnation);
	i = cc_state_array(uint16, hash)[slot];
	n = pg_atomic_read_u32(&cc.state->norigins);
	if (i == CC_NO_ORIGIN && n < cc.state->origin_cap)
	{
		i = (uint16) n;
		cc_origin(i)->node = *node;
		cc_origin(i)->incarnation = incarnation;
		pg_write_barrier();		/* whoever finds the index finds the origin */
		cc_state_array(uint16, hash)[slot] = i;
		pg_atomic_write_u32(&cc.state->norigins, n + 1);
	}
	cc_unlock(&cc.state->lock);
	return i;
}

uint16
cc_state_find_namespace(const char *database, const char *name)
{
	uint32		n = pg_atomic_read_u32(&cc.state->nnamespaces);

	pg_read_barrier();
	for (uint32 i = 0; i < n; i++)
	{
		if (strcmp(cc_namespace(i)->name, name) == 0 &&
			strcmp(cc_namespace(i)->database, database) == 0)
			return (uint16) i;
	}
	return CC_NO_NS;
}

/* Without a declaration; "default" needs none. */
static void
init_namespace(CcNamespaceShared *ns)
{
	pg_atomic_init_u64(&ns->horizon, 0);
	pg_atomic_init_u64(&ns->invalidated, 0);
	pg_atomic_init_u64(&ns->version, 0);
	pg_atomic_init_u32(&ns->flags, strcmp(ns->name, CC_DEFAULT_NS) == 0 ?
					   CC_NS_BUILTIN : 0);
	pg_atomic_init_u32(&ns->on_split, 0);
	pg_atomic_init_u64(&ns->ttl_ms, 0);
	pg_atomic_init_u64(&ns->max_age_ms, 0);
	pg_atomic_init_u64(&ns->grace_ms, 0);
	pg_atomic_init_u64(&ns->max_chunks, 0);
	pg_atomic_init_u32(&ns->own_list, 0);
	pg_atomic_init_u64(&ns->own_settled, 0);
	pg_atomic_init_u64(&ns->entries, 0);
	pg_atomic_init_u64(&ns->chunks, 0);
	pg_atomic_init_u64(&ns->conflicts, 0);
	pg_atomic_init_u32(&ns->evict_turn, 0);
	pg_atomic_init_u64(&ns->evictions, 0);
	pg_atomic_init_u64(&ns->expirations, 0);
}

uint16
cc_state_namespace(const char *database, const char *name)
{
	uint16		i;
	uint32		n;
	CcNamespaceShared *ns;

	if (strlen(database) >= CC_NAME_LEN || strlen(name) >= CC_NAME_LEN)
		return CC_NO_NS;
	i = cc_state_find_namespace(database, name);
	if (i != CC_NO_NS)
		return i;

	cc_lock_exclusive(&cc.state->lock);
	i = cc_state_find_namespace(database, name);
	n = pg_atomic_read_u32(&cc.state->nnamespaces);
	if (i == CC_NO_NS && n < CC_MAX_NAMESPACES)
	{
		char		both[2 * CC_NAME_LEN];
		uint64		h[2];
		Size		dlen = strlen(database);
		Size		nlen = strlen(name);

		i = (uint16) n;
		ns = cc_namespace(i);
		strcpy(ns->database, database);
		strcpy(ns->name, name);
		memcpy(both, database, dlen + 1);
		memcpy(both + dlen + 1, name, nlen);
		cc_hash128(both, dlen + 1 + nlen, 0, h);
		ns->seed = h[0];
		init_namespace(ns);
		pg_write_barrier();
		pg_atomic_write_u32(&cc.state->nnamespaces, n + 1);
	}
	cc_unlock(&cc.state->lock);
	return i;
}

bool
cc_state_raise_vv(int origin, uint64 seq)
{
	return cc_atomic_raise(&cc_state_array(pg_atomic_uint64, vv)[origin], seq);
}

bool
cc_state_raise_vvj(int origin, uint64 seq)
{
	return cc_atomic_raise(&cc_state_array(pg_atomic_uint64, vvj)[origin], seq);
}

bool
cc_state_raise_g(int origin, uint64 seq)
{
	return cc_atomic_raise(&cc_state_array(pg_atomic_uint64, g)[origin], seq);
}

void
cc_state_set_stable(int origin, uint64 seq)
{
	pg_atomic_write_u64(&cc_state_array(pg_atomic_uint64, stable)[origin], seq);
}

static void
copy_vector(CcVV *to, uint64 (*get) (int))
{
	int			n = cc_state_norigins();

	cc_vv_clear(to);
	if (n > 0)
		cc_vv_set(to, n - 1, 0);
	for (int i = 0; i < n; i++)
		to->seq[i] = get(i);
}

void
cc_state_copy_vv(CcVV *to)
{
	uint16		self = cc_state_self();

	copy_vector(to, cc_state_vv);
	if (self != CC_NO_ORIGIN)
	{
		pg_memory_barrier();
		cc_vv_raise(to, self, cc_state_vv(self));
	}
}

void
cc_state_copy_vvj(CcVV *to)
{
	copy_vector(to, cc_state_vvj);
}

void
cc_state_copy_g(CcVV *to)
{
	copy_vector(to, cc_state_g);
}

bool
cc_state_set_self(const CcNodeId *id, uint64 incarnation)
{
	uint16		self = cc_state_origin(id, incarnation);

	if (self == CC_NO_ORIGIN)
		return false;
	cc_lock_exclusive(&cc.state->lock);
	cc.state->id = *id;
	cc.state->incarnation = incarnation;
	pg_atomic_write_u32(&cc.state->self, self);
	cc_unlock(&cc.state->lock);
	return true;
}

bool
cc_id_is_zero(const CcNodeId *id)
{
	static const CcNodeId zero;

	return cc_id_cmp(id, &zero) == 0;
}

char *
cc_id_text(const CcNodeId *id, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < CC_ID_LEN; i++)
	{
		out[2 * i] = digits[id->b[i] >> 4];
		out[2 * i + 1] = digits[id->b[i] & 0x0f];
	}
	out[2 * CC_ID_LEN] = '\0';
	return out;
}
