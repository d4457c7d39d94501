/*-------------------------------------------------------------------------
 *
 * fiber.c
 *	  Virtual time, fibers, and the locks of base/port.h.
 *
 * Each process of a node (a backend's operation, an inbound session, the
 * replicator, the writer) is a fiber of its own stack.  The scheduler takes
 * the next event in the order of time and lets its fiber run until it waits.
 * Where PostgreSQL could run another process in between - before and after a
 * lock is taken, in cc_yield(), in a pause, at a file - a fiber gives way
 * with a probability of the seed's, for a time of the seed's.
 *
 * A server's crash drops its fibers as they are.
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

#include <setjmp.h>
#include <sys/mman.h>

#if !defined(__x86_64__) || defined(SIM_UCONTEXT)
#include <ucontext.h>
#define USE_UCONTEXT
#endif

#define STACK_SIZE		(256 * 1024)

/* Longer than any lock may be waited for */
#define STUCK			SIM_MS(30000)

typedef struct Stack
{
	struct Stack *next;
	char	   *low;			/* above a page that can't be touched */
} Stack;

typedef enum FiberState
{
	RUNNABLE,					/* an event will let it go on */
	WAITING,					/* for sim_wake, or for its event */
	LOCKED,						/* for a lock */
	DEAD
} FiberState;

struct SimFiber
{
	SimNode    *node;
	const char *what;
	uint64		no;
	void		(*fn) (void *);
	void	   *arg;

	FiberState	state;
	uint64		generation;		/* of its next event; older ones are void */
	bool		woken;
	bool		waits_journal;
	CcLock	   *wants;
	SimTime		since;			/* LOCKED */
	uint64		chance;

	int			nheld;
	CcLock	   *held[SIM_MAX_HELD];
	jmp_buf    *catcher;

	Stack	   *stack;
#ifdef USE_UCONTEXT
	ucontext_t	context;
#else
	void	   *sp;
#endif
	SimFiber   *next;			/* of the node's */
	SimFiber   *prev;
};

static Stack *free_stacks;
static SimFiber *free_fibers;	/* of the process: never given back */

static SimEvent *heap;
static int	heap_len;
static int	heap_cap;
static uint64 heap_order;

/* ---- switching ---- */

#ifdef USE_UCONTEXT
static ucontext_t scheduler;

#define SWITCH_TO(f)	swapcontext(&scheduler, &(f)->context)
#define SWITCH_BACK(f)	swapcontext(&(f)->context, &scheduler)
#else
static void *scheduler;

/* Saves what a callee keeps, and goes on where the other stack left off. */
extern void sim_switch(void **save, void *load);

__asm__(
		".text\n"
		".globl sim_switch\n"
		".type sim_switch, @function\n"
		"sim_switch:\n"
		"	pushq %rbp\n"
		"	pushq %rbx\n"
		"	pushq %r12\n"
		"	pushq %r13\n"
		"	pushq %r14\n"
		"	pushq %r15\n"
		"	movq %rsp, (%rdi)\n"
		"	movq %rsi, %rsp\n"
		"	popq %r15\n"
		"	popq %r14\n"
		"	popq %r13\n"
		"	popq %r12\n"
		"	popq %rbx\n"
		"	popq %rbp\n"
		"	ret\n"
		".size sim_switch, .-sim_switch\n"
);

#define SWITCH_TO(f)	sim_switch(&scheduler, (f)->sp)
#define SWITCH_BACK(f)	sim_switch(&(f)->sp, scheduler)
#endif

static Stack *
take_stack(void)
{
	Stack	   *s = free_stacks;
	char	   *mem;

	if (s != NULL)
	{
		free_stacks = s->next;
		return s;
	}
	mem = mmap(NULL, STACK_SIZE + 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	s = malloc(sizeof(Stack));
	if (mem == MAP_FAILED || s == NULL || mprotect(mem, 4096, PROT_NONE) != 0)
	{
		perror("stack");
		exit(2);
	}
	s->low = mem + 4096;
	return s;
}

/* Ends the fiber: off the node's list, its stack given back. */
static void
bury(SimFiber *f)
{
	f->state = DEAD;
	f->generation++;
	if (f->prev != NULL)
		f->prev->next = f->next;
	else if (f->node->fibers == f)
		f->node->fibers = f->next;
	if (f->next != NULL)
		f->next->prev = f->prev;
	f->next = f->prev = NULL;
	if (f->stack != NULL)
	{
		f->stack->next = free_stacks;
		free_stacks = f->stack;
		f->stack = NULL;
	}
	f->next = free_fibers;
	free_fibers = f;
}

void
sim_leave_fiber(void)
{
	for (;;)
	{
		sim.fiber->state = DEAD;
		SWITCH_BACK(sim.fiber);
	}
}

static void
fiber_main(void)
{
	sim.fiber->fn(sim.fiber->arg);
	Assert(sim.fiber->nheld == 0);
	sim_leave_fiber();
}

static void
resume(void *arg, uint64 generation)
{
	SimFiber   *f = arg;

	if (f->generation != generation || f->state == DEAD)
		return;
	f->state = RUNNABLE;
	f->generation++;
	sim_enter(f->node);
	sim.fiber = f;
	sim.stats.switches++;
	SWITCH_TO(f);
	sim.fiber = NULL;
	if (f->state == DEAD)
		bury(f);
}

/* Gives way; an event of the fiber's generation brings it back. */
static void
give_way(FiberState state)
{
	SimFiber   *f = sim.fiber;

	f->state = state;
	SWITCH_BACK(f);
}

/* ---- time ---- */

static bool
earlier(const SimEvent *a, const SimEvent *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void
sim_at(SimTime at, void (*fn) (void *, uint64), void *arg, uint64 n)
{
	SimEvent	e = {Max(at, sim.now), heap_order++, fn, arg, n};
	int			i;

	if (heap_len == heap_cap)
	{
		heap_cap = Max(1024, heap_cap * 2);
		heap = realloc(heap, heap_cap * sizeof(SimEvent));
		if (heap == NULL)
			abort();
	}
	for (i = heap_len++; i > 0 && earlier(&e, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = e;
}

static SimEvent
next_event(void)
{
	SimEvent	first = heap[0];
	SimEvent	last = heap[--heap_len];
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= heap_len)
			break;
		if (child + 1 < heap_len && earlier(&heap[child + 1], &heap[child]))
			child++;
		if (!earlier(&heap[child], &last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return first;
}

void
sim_run_until(SimTime until)
{
	while (heap_len > 0 && heap[0].at <= until)
	{
		SimEvent	e = next_event();

		sim.now = e.at;
		sim.stats.events++;
		e.fn(e.arg, e.n);
		if (sim.violated)
			return;
	}
	sim.now = until;
}

void
sim_enter(SimNode *node)
{
	static const CcShared nowhere;

	if (sim.here == node)
		return;
	sim.here = node;
	cc = node != NULL ? node->shared : nowhere;
}

/* ---- fibers ---- */

SimFiber *
sim_fiber_start(SimNode *node, const char *what, uint64 no,
				void (*fn) (void *), void *arg)
{
	SimFiber   *f = free_fibers;
	uint64		generation = 0;

	if (f != NULL)
	{
		free_fibers = f->next;
		generation = f->generation + 1;
	}
	else if ((f = malloc(sizeof(SimFiber))) == NULL)
		abort();
	memset(f, 0, sizeof(*f));
	f->generation = generation;
	f->node = node;
	f->what = what;
	f->no = no;
	f->fn = fn;
	f->arg = arg;
	for (const char *c = what; *c != '\0'; c++)
		f->chance = f->chance * 31 + *c;
	f->chance = sim_hash(SIM_U_FIBER, node->no, no, f->chance);
	f->stack = take_stack();
#ifdef USE_UCONTEXT
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack->low;
	f->context.uc_stack.ss_size = STACK_SIZE;
	f->context.uc_link = NULL;
	makecontext(&f->context, fiber_main, 0);
#else
	{
		void	  **sp = (void **) (f->stack->low + STACK_SIZE);

		*--sp = NULL;			/* keeps the stack aligned as after a call */
		*--sp = (void *) fiber_main;
		for (int i = 0; i < 6; i++)
			*--sp = NULL;
		f->sp = sp;
	}
#endif
	f->next = node->fibers;
	if (f->next != NULL)
		f->next->prev = f;
	node->fibers = f;
	sim_at(sim.now, resume, f, f->generation);
	return f;
}

void
sim_fibers_drop(SimNode *node)
{
	Assert(sim.fiber == NULL || sim.fiber->node != node);
	while (node->fibers != NULL)
		bury(node->fibers);
}

void
sim_fibers_reset(void)
{
	sim.fiber = NULL;
	for (int i = 0; i < SIM_MAX_NODES; i++)
		sim_fibers_drop(&sim.node[i]);
	heap_len = 0;
	heap_order = 0;
}

bool
sim_fiber_alive(SimFiber *f)
{
	return f != NULL && f->state != DEAD;
}

void
sim_sleep(SimTime time)
{
	SimFiber   *f = sim.fiber;

	sim_at(sim.now + time, resume, f, f->generation);
	give_way(RUNNABLE);
}

bool
sim_wait(SimTime time)
{
	SimFiber   *f = sim.fiber;

	if (!f->woken)
	{
		if (time != SIM_NEVER)
			sim_at(sim.now + time, resume, f, f->generation);
		give_way(WAITING);
	}
	if (!f->woken)
		return false;
	f->woken = false;
	return true;
}

void
sim_wake(SimFiber *f)
{
	if (f == NULL || f->state == DEAD)
		return;
	f->woken = true;
	if (f->state == WAITING)
	{
		f->state = RUNNABLE;
		f->generation++;
		sim_at(sim.now, resume, f, f->generation);
	}
}

bool
sim_try(void (*fn) (void *), void *arg)
{
	SimFiber   *f = sim.fiber;
	jmp_buf    *outer = f->catcher;
	jmp_buf		here;
	bool		ok = true;

	f->catcher = &here;
	if (__builtin_expect(_setjmp(here) == 0, 1))
		fn(arg);
	else
		ok = false;
	f->catcher = outer;
	return ok;
}

bool
sim_user_runs(void)
{
	return sim.fiber != NULL && strcmp(sim.fiber->what, "client") == 0;
}

uint64
sim_draw(void)
{
	sim.fiber->chance += UINT64CONST(0x9E3779B97F4A7C15);
	return sim_mix(sim.fiber->chance);
}

double
sim_draw_unit(void)
{
	return (sim_draw() >> 11) * (1.0 / (UINT64CONST(1) << 53));
}

SimTime
sim_draw_time(SimTime max)
{
	return max <= 0 ? 0 : sim_draw() % (uint64) max;
}

/* ---- what base/port.h promises ---- */

/* Another process may run: now and then one does. */
void
sim_yield(void)
{
	uint64		draw;

	/* functions of the layers are also called by checkers, outside fibers */
	if (sim.fiber == NULL || sim.cfg.yield_odds == 0)
		return;
	draw = sim_draw();
	if ((draw & 0xffff) < sim.cfg.yield_odds)
		sim_sleep((draw >> 16) % (uint64) (sim.cfg.yield_max + 1));
}

static void
note_held(CcLock *lock)
{
	SimFiber   *f = sim.fiber;

	Assert(f->nheld < SIM_MAX_HELD);
	f->held[f->nheld++] = lock;
}

static void
wait_for_lock(CcLock *lock)
{
	SimFiber   *f = sim.fiber;

	lock->wanted = true;
	f->wants = lock;
	f->since = sim.now;
	give_way(LOCKED);
	f->wants = NULL;
}

static void
lock_it(CcLock *lock, bool exclusive)
{
	if (sim.fiber == NULL)
	{
		/* a checker, between the steps of fibers: looks and changes nothing */
		return;
	}
	Assert(!cc_lock_held(lock));
	sim_yield();
	while (lock->exclusive || (exclusive && lock->shared > 0))
		wait_for_lock(lock);
	if (exclusive)
		lock->exclusive = true;
	else
		lock->shared++;
	note_held(lock);
	sim_yield();
}

void
cc_lock_exclusive(CcLock *lock)
{
	lock_it(lock, true);
}

void
cc_lock_shared(CcLock *lock)
{
	lock_it(lock, false);
}

void
cc_unlock(CcLock *lock)
{
	SimFiber   *f = sim.fiber;
	int			i;

	if (f == NULL)
		return;
	for (i = f->nheld - 1; i >= 0 && f->held[i] != lock; i--)
		;
	Assert(i >= 0);
	f->held[i] = f->held[--f->nheld];
	if (lock->exclusive)
		lock->exclusive = false;
	else
		lock->shared--;
	if (lock->wanted && lock->shared == 0)
	{
		lock->wanted = false;
		for (SimFiber *w = f->node->fibers; w != NULL; w = w->next)
		{
			if (w->state == LOCKED && w->wants == lock)
			{
				w->state = RUNNABLE;
				w->generation++;
				sim_at(sim.now, resume, w, w->generation);
			}
		}
	}
	sim_yield();
}

bool
cc_lock_held(CcLock *lock)
{
	SimFiber   *f = sim.fiber;

	if (f == NULL)
		return true;
	for (int i = 0; i < f->nheld; i++)
	{
		if (f->held[i] == lock)
			return true;
	}
	return false;
}

/* Where PostgreSQL might raise an error or wait, no lock may be held. */
void
sim_check_unlocked(const char *where)
{
	if (sim.fiber != NULL && sim.fiber->nheld > 0)
		sim_violate("locked", "%s %s calls %s with a lock held",
					sim.fiber->node->name, sim.fiber->what, where);
}

/* An error: to the innermost sim_try, or the fiber's end. */
void
sim_raise(void)
{
	SimFiber   *f = sim.fiber;

	sim_check_unlocked("an error");
	sim_trace("%s ends with an error", f->what);
	if (f->catcher != NULL)
		_longjmp(*f->catcher, 1);
	sim_leave_fiber();
}

/* Whether an error may be raised in this fiber to see what it leaves. */
bool
sim_may_raise(void)
{
	SimFiber   *f = sim.fiber;

	return f != NULL && !sim.quiet && f->nheld == 0 &&
		f->catcher != NULL;
}

void
cc_pause(void)
{
	sim_check_unlocked("cc_pause");
	if (sim_may_raise() && sim_draw_unit() < sim.cfg.errors)
		sim_raise();
	sim_sleep(500 + sim_draw_time(1000));
}

void
cc_wait_journal(void)
{
	SimFiber   *f = sim.fiber;

	sim_check_unlocked("cc_wait_journal");
	if (sim_may_raise() && sim_draw_unit() < sim.cfg.errors)
		sim_raise();
	f->waits_journal = true;
	f->woken = false;
	sim_wait(SIM_MS(40));
	f->waits_journal = false;
	f->woken = true;			/* or what else it was woken for is lost */
}

void
cc_announce_journal(void)
{
	for (SimFiber *f = sim.here->fibers; f != NULL; f = f->next)
	{
		if (f->waits_journal)
			sim_wake(f);
	}
}

void
sim_check_stuck(void)
{
	for (int i = 0; i < SIM_MAX_NODES; i++)
	{
		for (SimFiber *f = sim.node[i].fibers; f != NULL; f = f->next)
		{
			if (f->state == LOCKED && sim.now - f->since > STUCK)
				sim_violate("deadlock", "%s %s " UINT64_FORMAT
							" waits for a lock since %.1f",
							f->node->name, f->what, f->no, f->since / 1000.0);
		}
	}
}
