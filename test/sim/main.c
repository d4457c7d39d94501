/*-------------------------------------------------------------------------
 *
 * main.c
 *	  Many seeds, in several processes; the table of rules.
 *
 *	sim [--seeds N] [--from N] [--seconds N] [--jobs N] [--off RULE,...]
 *		runs seeds until one violates: then the shortest schedule that still
 *		does, its trace, and exit status 1
 *		--with FAULT adds "rot" (bits turn over on disk) or "roll back";
 *		--kept 2: all schedules are made for healing (0: none, 1: some keys)
 *	sim --trace SEED [--off ...] [--whole]
 *		one seed with its trace, shrunk if it violates (--whole: as it is)
 *	sim --list [--seeds N] [--from N]
 *		one line a seed, to see that a seed is always the same
 *	sim --table [--only RULE]
 *		for each rule of PROTOCOL.md switched off: how many runs until a
 *		violation is found, and of which kind
 *
 *-------------------------------------------------------------------------
 */
#include "sim.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_JOBS		16

/* Seconds of real time that one seed may take */
#define WATCHDOG		60

static const char *const rule_names[SIM_NRULES] = {
#define NAME(rule) #rule,
	SIM_RULES(NAME)
#undef NAME
};

/*
 * What PROTOCOL.md, section 8, leads one to expect: violations in so many
 * runs; other rules that go off with it.
 */
typedef struct Row
{
	const char *rule;
	const char *with;
	int			violations;
	int			runs;
} Row;

static const Row table[] = {
	{"pass", NULL, 5, 8},
	{"left_out", NULL, 5, 8},
	{"scan_start", NULL, 5, 7},
	{"relay", NULL, 5, 9},
	{"expired_on_arrival", NULL, 5, 12},
	{"forgotten_first", NULL, 5, 18},
	{"new_origin", NULL, 5, 38},
	{"third_hand", NULL, 5, 46},
	{"horizon_first", NULL, 5, 95},
	{"new_boot", NULL, 5, 114},
	{"journal_order", NULL, 5, 136},
	{"full_comparison", NULL, 5, 144},
	{"floor", NULL, 5, 147},
	{"take_over_g", NULL, 5, 368},
	{"session_rest", NULL, 5, 518},
	{"orphans", NULL, 5, 611},
	{"unstable_expiry", NULL, 5, 621},
	{"vvj_stable", NULL, 5, 936},
	{"clock_bound", NULL, 5, 942},
	{"clock_bound_seen", NULL, 1, 1500},
	{"digest_older", NULL, 2, 1500},
	{"digest_stub", NULL, 2, 1500},
	{"one_at_a_time", NULL, 2, 1500},
	{"causal_stability", "floor", 4, 548},
	{"floor_version", NULL, 22, 3000},
	{"retire_removed", NULL, 3, 8000},
	{"busy_ends", NULL, 142, 1500},
	{"counters_join", NULL, 5, 23},
	{"counter_begun", NULL, 5, 145},
	{"join_version", NULL, 5, 2820},
	{"exact_seen", NULL, 1068, 3000},
	{"context", NULL, 12, 4000},
	{"resolution", NULL, 47, 4000},
	{"unchanged", NULL, 24, 4000},
	{"grace", NULL, 6, 4000},
	{"ask", NULL, 7, 4000},
	{"path_records", NULL, 5, 4000},
	{"races", NULL, 5, 4000}
};

/*
 * A row is searched for this many times the runs that it leads to expect, and
 * for so many at least
 */
#define PATIENCE		40
#define LEAST_RUNS		2000

/* What a process that runs seeds says of each. */
typedef struct Report
{
	uint64		seed;
	bool		violated;
	char		kind[32];
	char		message[1024];
	SimStats	stats;
} Report;

typedef struct Job
{
	pid_t		pid;
	int			fd;
} Job;

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
too_slow(int sig)
{
	static char text[128];
	int			len;

	len = snprintf(text, sizeof(text),
				   "seed %llu does not come to an end\n",
				   (unsigned long long) sim.seed);
	if (write(2, text, len) < 0)
		_exit(2);
	abort();
}

/* A bad pointer is a violation like any other. */
static void
bad_pointer(int sig, siginfo_t *info, void *context)
{
	sim_violate("segv", "signal %d at %s", sig,
				info->si_addr == NULL ? "NULL" : "some address");
}

static void
catch_bad_pointers(void)
{
	static char stack[65536];
	stack_t		ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa;

	if (getenv("SIM_ABORT") != NULL)
		return;
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = bad_pointer;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
}

static void
run_seeds(int fd, uint64 first, uint64 last, int step)
{
	signal(SIGALRM, too_slow);
	for (uint64 seed = first; seed <= last; seed += step)
	{
		Report		r;

		alarm(WATCHDOG);
		memset(&r, 0, sizeof(r));
		r.seed = seed;
		r.violated = !sim_run(seed, NULL, 0, false);
		memcpy(r.kind, sim.kind, sizeof(r.kind));
		memcpy(r.message, sim.message, sizeof(r.message));
		r.stats = sim.stats;
		if (write(fd, &r, sizeof(r)) != sizeof(r))
			_exit(0);			/* the parent has gone */
	}
	_exit(0);
}

static void
end_jobs(Job *job, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (job[i].fd < 0)
			continue;
		kill(job[i].pid, SIGKILL);
		close(job[i].fd);
		waitpid(job[i].pid, NULL, 0);
	}
}

static void
start_jobs(Job *job, int n, uint64 from, uint64 last)
{
	for (int i = 0; i < n; i++)
	{
		int			fds[2];

		if (pipe(fds) != 0 || (job[i].pid = fork()) < 0)
		{
			perror("sim");
			exit(2);
		}
		if (job[i].pid == 0)
		{
			close(fds[0]);
			for (int k = 0; k < i; k++)
				close(job[k].fd);
			run_seeds(fds[1], from + i, last, n);
		}
		close(fds[1]);
		job[i].fd = fds[0];
	}
}

static void
show_progress(uint64 done, const SimStats *total, double began, bool end)
{
	static double shown;
	double		now = seconds();

	if (!end && now - shown < 5)
		return;
	shown = now;
	printf("%llu seeds, %.0f a second\n", (unsigned long long) done,
		   done / Max(now - began, 0.001));
	if (end)
		printf("%llu counters were exact, with %llu increments\n",
			   (unsigned long long) total->exact,
			   (unsigned long long) total->counted);
	if (end)
		printf("%llu conflicts were decided, %llu settled by a write; of %llu keys the winning island's was looked for\n",
			   (unsigned long long) total->decided,
			   (unsigned long long) total->settled,
			   (unsigned long long) total->islands);
	fflush(stdout);
}

/*
 * Runs seeds from..last until one violates or the time is over.  Returns how
 * many were run; *found tells of the one that violated.
 */
static uint64
search(uint64 from, uint64 last, double limit, int jobs, bool quiet,
	   Report *found)
{
	Job			job[MAX_JOBS];
	struct pollfd fds[MAX_JOBS];
	double		began = seconds();
	uint64		done = 0;
	SimStats	total = {0};
	int			left = jobs;

	fflush(stdout);
	start_jobs(job, jobs, from, last);
	memset(found, 0, sizeof(*found));
	while (left > 0 && !found->violated &&
		   (limit <= 0 || seconds() - began < limit))
	{
		for (int i = 0; i < jobs; i++)
		{
			fds[i].fd = job[i].fd;
			fds[i].events = POLLIN;
		}
		poll(fds, jobs, 200);
		for (int i = 0; i < jobs && !found->violated; i++)
		{
			Report		r;
			ssize_t		n;

			if (job[i].fd < 0 || fds[i].revents == 0)
				continue;
			n = read(job[i].fd, &r, sizeof(r));
			if (n == sizeof(r))
			{
				done++;
				total.exact += r.stats.exact;
				total.counted += r.stats.counted;
				total.decided += r.stats.decided;
				total.settled += r.stats.settled;
				total.islands += r.stats.islands;
				if (r.violated)
					*found = r;
				continue;
			}
			if (n != 0 || job[i].fd < 0)
				continue;
			/* its end, or its death */
			{
				int			status;

				close(job[i].fd);
				job[i].fd = -1;
				left--;
				waitpid(job[i].pid, &status, 0);
				if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				{
					printf("a process died of signal %d\n", WTERMSIG(status));
					exit(1);
				}
			}
		}
		if (!quiet)
			show_progress(done, &total, began, false);
	}
	end_jobs(job, jobs);
	if (!quiet)
		show_progress(done, &total, began, true);
	return done;
}

/* The trace of the shortest schedule */
static void
explain(uint64 seed, bool whole)
{
	static SimAction actions[SIM_MAX_ACTIONS];
	int			n;
	int			before;

	if (sim_run(seed, NULL, 0, false) || whole)
	{
		sim_run(seed, NULL, 0, true);
		return;
	}
	n = before = sim.nactions;
	memcpy(actions, sim.action, n * sizeof(SimAction));
	n = sim_shrink(seed, actions, n, sim.kind);
	sim_run(seed, actions, n, true);
	printf("seed %llu, %d of %d actions, %d nodes, %s: %s\n",
		   (unsigned long long) seed, n, before, sim.cfg.nodes, sim.kind,
		   sim.message);
}

static void
switch_off(const char *rules)
{
	while (rules != NULL && *rules != '\0')
	{
		Size		len = strcspn(rules, ", ");
		int			i;

		for (i = 0; i < SIM_NRULES; i++)
		{
			if (strlen(rule_names[i]) == len &&
				memcmp(rule_names[i], rules, len) == 0)
				break;
		}
		if (i == SIM_NRULES && len > 0)
		{
			fprintf(stderr, "unknown rule \"%.*s\"; the rules are:", (int) len,
					rules);
			for (i = 0; i < SIM_NRULES; i++)
				fprintf(stderr, " %s", rule_names[i]);
			fprintf(stderr, "\n");
			exit(2);
		}
		if (len > 0)
			sim_rules[i] = false;
		rules += len;
		rules += strspn(rules, ", ");
	}
}

/* Faults that happen on demand, by name: "rot", "roll back" */
static void
add_fault(const char *name)
{
	for (int i = 0; i < SIM_NACTIONS; i++)
	{
		if (strcmp(sim_action_name(i), name) == 0)
		{
			sim_schedule_with(i, 1);
			return;
		}
	}
	fprintf(stderr, "sim: unknown fault \"%s\"\n", name);
	exit(2);
}

static void
all_rules_on(void)
{
	for (int i = 0; i < SIM_NRULES; i++)
		sim_rules[i] = true;
}

/* Returns the number of rules without which nothing was found. */
static int
run_table(int jobs, const char *only)
{
	int			missed = 0;

	printf("%-20s %-10s %10s %8s  %s\n", "rule off", "with", "expected",
		   "runs", "kind");
	for (int i = 0; i < (int) lengthof(table); i++)
	{
		const Row  *row = &table[i];
		uint64		limit = (uint64) Max(LEAST_RUNS, PATIENCE * row->runs / row->violations);
		Report		found;
		uint64		done;

		if (only != NULL && strcmp(only, row->rule) != 0)
			continue;
		all_rules_on();
		switch_off(row->rule);
		switch_off(row->with);
		done = search(1, limit, 0, jobs, true, &found);
		printf("%-20s %-10s %4d of %3d %8llu  %s\n", row->rule,
			   row->with ? row->with : "", row->violations, row->runs,
			   (unsigned long long) done,
			   found.violated ? found.kind : "NOT FOUND");
		fflush(stdout);
		missed += !found.violated;
	}
	return missed;
}

static const char *
next_arg(int argc, char **argv, int *i)
{
	if (*i + 1 >= argc)
	{
		fprintf(stderr, "sim: %s needs a value\n", argv[*i]);
		exit(2);
	}
	return argv[++*i];
}

int
main(int argc, char **argv)
{
	uint64		seeds = 0;
	uint64		from = 1;
	double		limit = 0;
	int			jobs = 1;
	bool		make_table = false;
	bool		whole = false;
	bool		list = false;
	const char *trace = NULL;
	const char *only = NULL;
	Report		found;

	all_rules_on();
	cc_cache_system_hook = cc_membership_note;
	for (int i = 1; i < argc; i++)
	{
		const char *a = argv[i];

		if (strcmp(a, "--seeds") == 0)
			seeds = strtoull(next_arg(argc, argv, &i), NULL, 10);
		else if (strcmp(a, "--from") == 0)
			from = strtoull(next_arg(argc, argv, &i), NULL, 10);
		else if (strcmp(a, "--seconds") == 0)
			limit = strtod(next_arg(argc, argv, &i), NULL);
		else if (strcmp(a, "--jobs") == 0)
			jobs = atoi(next_arg(argc, argv, &i));
		else if (strcmp(a, "--off") == 0)
			switch_off(next_arg(argc, argv, &i));
		else if (strcmp(a, "--with") == 0)
			add_fault(next_arg(argc, argv, &i));
		else if (strcmp(a, "--kept") == 0)
			sim_schedule_kept(atoi(next_arg(argc, argv, &i)));
		else if (strcmp(a, "--trace") == 0)
			trace = next_arg(argc, argv, &i);
		else if (strcmp(a, "--only") == 0)
			only = next_arg(argc, argv, &i);
		else if (strcmp(a, "--table") == 0)
			make_table = true;
		else if (strcmp(a, "--list") == 0)
			list = true;
		else if (strcmp(a, "--whole") == 0)
			whole = true;
		else
		{
			fprintf(stderr, "sim: unknown argument \"%s\"\n", a);
			return 2;
		}
	}
	jobs = Max(1, Min(jobs, MAX_JOBS));
	catch_bad_pointers();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);

	if (list)
	{
		for (uint64 seed = from; seed < from + Max(seeds, 1); seed++)
		{
			sim_run(seed, NULL, 0, false);
			printf("%llu %llu %llu %llu %llu %s\n", (unsigned long long) seed,
				   (unsigned long long) sim.stats.events,
				   (unsigned long long) sim.stats.messages,
				   (unsigned long long) sim.stats.takes,
				   (unsigned long long) sim.now, sim.kind);
		}
		return 0;
	}
	if (make_table)
		return run_table(jobs, only) > 0;
	if (trace != NULL)
	{
		explain(strtoull(trace, NULL, 10), whole);
		return sim.violated;
	}
	if (seeds == 0 && limit <= 0)
		seeds = 2000;
	search(from, seeds > 0 ? from + seeds - 1 : PG_UINT64_MAX / 2, limit, jobs,
		   false, &found);
	if (!found.violated)
		return 0;
	printf("seed %llu violates %s: %s\n", (unsigned long long) found.seed,
		   found.kind, found.message);
	fflush(stdout);
	explain(found.seed, false);
	return 1;
}
