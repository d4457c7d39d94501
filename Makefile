# cachecluster: build, install and test.
#
#   make, make install        build against the PostgreSQL of PG_CONFIG
#   make installcheck         set up this machine, build, install, run all tests
#   make demo                 the same, then three servers tell their story
#   make bench                the same, then the measurements
#   make sim                  the simulator; needs no PostgreSQL
#
# To narrow a test run, name tests: only the kinds named are run then.
#   make installcheck REGRESS="ttl put" ISOLATION=incr PROVE_TESTS='test/t/20*.pl'
#
# pg_config may be missing when this file is read: installcheck, demo and bench
# install it. Everything that needs PGXS therefore stands in a conditional, and
# those targets call make again once test/setup has done its work.

MODULE_big = cachecluster
EXTENSION = cachecluster
DATA = $(wildcard sql/cachecluster--*.sql)

SOURCES = $(sort $(wildcard src/*.c src/base/*.c src/cache/*.c \
	src/cluster/*.c src/funcs/*.c src/merge/*.c))
OUR_HEADERS = $(wildcard src/*.h src/*/*.h)
OBJS = $(SOURCES:.c=.o)

# PostgreSQL's headers count as system headers, so that a warning is always
# about our own code. The three that are switched off are at odds with the
# callback signatures, initialisers and int arithmetic that PostgreSQL's
# interfaces ask for.
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(includedir_server) -I$(libpq_srcdir) \
	$(shell pkg-config --cflags libuv 2>/dev/null)
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers
SHLIB_LINK = $(or $(shell pkg-config --libs libuv 2>/dev/null),-luv) $(libpq)

# PGXS's own installcheck expects a running server; ours starts its own.
NO_INSTALLCHECK = 1
EXTRA_CLEAN = $(addsuffix /*.o,src src/base src/cache src/cluster src/funcs src/merge)

# Bitcode for inlining by the JIT is of no use here and would need clang.
# Only an override beats the assignment in PostgreSQL's Makefile.global.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

PG_CONFIG ?= pg_config
export PG_CONFIG

PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

ifneq ($(PGXS),)
include $(PGXS)

# Debian's PostgreSQL is configured without dependency tracking.
$(OBJS): $(OUR_HEADERS) Makefile

else

all install:
	@echo "PostgreSQL's server development files are missing." >&2
	@echo "Run test/setup, or name another pg_config by PG_CONFIG=..." >&2
	@exit 1

clean:
	rm -f cachecluster.so $(EXTRA_CLEAN)

.PHONY: all install clean

endif

.DEFAULT_GOAL := all

# The machine set up, the extension built and installed.
ready:
	@MAKE='$(MAKE)' test/setup

installcheck: ready
	@test/as_postgres test/run

demo: ready
	@test/as_postgres test/demo/run

bench: ready
	@test/as_postgres test/bench/run

# SEEDS, FROM, OFF and SECONDS given to this make reach that one as they are.
sim:
	@$(MAKE) --no-print-directory -C test/sim run

clean: clean-sim
clean-sim:
	@test ! -e test/sim/Makefile || \
		$(MAKE) --no-print-directory -C test/sim clean

.PHONY: ready installcheck demo bench sim clean-sim
