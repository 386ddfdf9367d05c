# A thin layer over Meson (meson.build) and the scripts in tools/. `make` leaves build/hydrant; `make help` lists the rest.
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 10

# Every option that a build differs in stands here. Warnings stop the release build only: sanitizers make gcc see ghosts.
RELEASE := --buildtype=release -Db_lto=true -Db_pie=true
ASAN    := --buildtype=debugoptimized -Dwerror=false -Db_lto=false -Db_sanitize=address,undefined
TSAN    := --buildtype=debugoptimized -Dwerror=false -Db_lto=false -Db_sanitize=thread
FUZZ    := --buildtype=debugoptimized -Dwerror=false -Db_lto=false -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true
COVER   := --buildtype=debugoptimized -Doptimization=1 -Dwerror=false -Db_lto=false -Db_lundef=false -Dfuzz=true \
           -Dc_args='-fprofile-instr-generate -fcoverage-mapping' -Dc_link_args=-fprofile-instr-generate
BENCH   := $(RELEASE) -Dbench=true
LEARN   := $(BENCH) -Db_pgo=generate -Dc_args=-fprofile-update=prefer-atomic
LEARNED := $(BENCH) -Db_pgo=use -Dwerror=false -Dc_args=-Wno-missing-profile
SIM     := --buildtype=release -Dwerror=false -Db_lto=false -Dsim=true
SEEDS   ?= 1000
CYCLES  ?= 100
SOAK_SECONDS ?= 3600

ROOMS := meson.build meson_options.txt $(wildcard src/*/meson.build)
# On a terminal one line that counts, otherwise only what goes wrong.
NINJA = quiet=; [ -t 1 ] && [ -z "$$CI" ] || quiet=--quiet; NINJA_STATUS='  compiling %f/%t  ' ninja $$quiet

# $(call configure,DIR,OPTIONS): Meson does not see that a room's first meson.build appears, make does.
configure = if [ -f $(1)/build.ninja ]; then meson setup --reconfigure $(1) $(2) >$(1)/configure.log 2>&1; \
	else rm -rf $(1)/meson-private $(1)/meson-info; mkdir -p $(1); meson setup $(1) $(2) >$(1)/configure.log 2>&1; fi \
	|| { tail -n 15 $(1)/configure.log; echo "hydrant: meson could not set up $(1): see $(1)/configure.log"; exit 1; }

.PHONY: all release tests check asan tsan sim sim-mutants crash soak fuzz fuzz-coverage bench bench-units tidy format demo s3 s3-load s3-many deb install clean help
all: $(BUILD)/build.ninja
	@if ninja -C $(BUILD) -t query hydrant >/dev/null 2>&1; then $(NINJA) -C $(BUILD) hydrant; else $(NINJA) -C $(BUILD); fi
	@tools/fetch-duckdb $(BUILD) || true

$(BUILD)/build.ninja: $(ROOMS)
	@tools/bootstrap build sql
	@echo "hydrant: compiling (a minute or two)"
	@$(call configure,$(BUILD),$(RELEASE))

build-asan/build.ninja: $(ROOMS) $(wildcard src/*/*_fuzz.c)
	@tools/bootstrap build
	@$(call configure,build-asan,$(ASAN))

build-tsan/build.ninja: $(ROOMS)
	@tools/bootstrap build
	@$(call configure,build-tsan,$(TSAN))

build-fuzz/build.ninja: $(ROOMS) $(wildcard src/*/*_fuzz.c)
	@tools/bootstrap build fuzz
	@export CC=clang; $(call configure,build-fuzz,$(FUZZ))

build-fuzz-coverage/build.ninja: $(ROOMS) $(wildcard src/*/*_fuzz.c)
	@tools/bootstrap build fuzz
	@export CC=clang; $(call configure,build-fuzz-coverage,$(COVER))

build-bench/build.ninja: $(ROOMS) $(wildcard src/*/*_bench.c)
	@tools/bootstrap build
	@$(call configure,build-bench,$(BENCH))

# What packages hold and benchmarks measure: compiled twice, with what a run (tools/train) shows about branches and calls; five minutes.
release:
	@tools/bootstrap build sql
	@$(call configure,build-release,$(LEARN))
	@meson configure build-release $(LEARN)
	@$(NINJA) -C build-release hydrant load >>build-release/configure.log
	@tools/fetch-duckdb build-release || true
	@tools/train build-release
	@meson configure build-release $(LEARNED)
	@$(NINJA) -C build-release hydrant load >>build-release/configure.log

# The order of a check is cheapest first; tools/check adds everything up and prints the closing line.
check: 
	@tools/bootstrap build sql check s3
	@tests/s3/servers.py prepare
	@tools/check

asan: build-asan/build.ninja
	@$(NINJA) -C build-asan
	@tools/fetch-duckdb build-asan || true
	@tools/check unit build-asan

tsan: build-tsan/build.ninja
	@$(NINJA) -C build-tsan
	@tools/fetch-duckdb build-tsan || true
	@tools/check unit build-tsan

fuzz: build-fuzz/build.ninja
	@$(NINJA) -C build-fuzz fuzzers
	@tools/fuzz run build-fuzz $(FUZZ_SECONDS)

# Which lines the seeds reach: at least 95 % of each target's files (tools/fuzz).
fuzz-coverage: build-fuzz-coverage/build.ninja
	@$(NINJA) -C build-fuzz-coverage fuzzers
	@tools/fuzz coverage build-fuzz-coverage

# The figures of docs/benchmarks.md, 20 minutes; RUN="--only convert --convert-mb 50 --rounds 1" for a look.
bench: release
	@bench/venv
	@bench/run $(RUN)

# One unit at a time: src/*/*_bench.c.
bench-units: build-bench/build.ninja
	@$(NINJA) -C build-bench
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for b in build-bench/*_bench; do \
		[ -f $$b ] && [ -x $$b ] || continue; \
		echo "== $$(basename $$b)"; \
		case $$b in */wal_bench) $$b "$$dir/wal" ;; *) $$b ;; esac || exit 1; \
	done

# A lake over S3, on real servers that the tests start themselves (tests/s3/servers.py): its own laws, then every test on a lake with the lake in a
# bucket. S3_TESTS="name…" picks some.
s3: all
	@tools/bootstrap build sql check s3
	@tools/test-venv
	@tests/s3/servers.py prepare
	@$(NINJA) -C $(BUILD) src/table/table_probe
	@HYDRANT_S3=all tools/check s3 $(S3_TESTS)

# The long forms of two of them, 25 and 35 minutes: 1,000,000 events while every tenth request fails, then 12 GB into the log while the store is gone
# for ten minutes; 1,000 collections with an event a second each. They print what they measured. S3_KINDS=radosgw, other sizes: see the tests.
s3-load: all
	@tools/bootstrap build sql check s3
	@tools/test-venv
	@S3_EVENTS=$${S3_EVENTS:-1000000} S3_GONE=$${S3_GONE:-600} TEST_SHOW=1 TEST_TIMEOUT=7200 HYDRANT=$(abspath $(BUILD)/hydrant) tests/run.sh s3_load

s3-many: all
	@tools/bootstrap build sql check s3
	@tools/test-venv
	@S3_MANY=$${S3_MANY:-1000} S3_MANY_SECONDS=$${S3_MANY_SECONDS:-1860} S3_MANY_INTERVAL=$${S3_MANY_INTERVAL:-900} TEST_SHOW=1 TEST_TIMEOUT=7200 \
		HYDRANT=$(abspath $(BUILD)/hydrant) tests/run.sh s3_many

# Whole nodes over a simulated disk, clock and object store: SEEDS=N; a failing seed prints its story (docs/durability.md).
build-sim/build.ninja: $(ROOMS) tests/sim/meson.build
	@tools/bootstrap build
	@$(call configure,build-sim,$(SIM))

sim: build-sim/build.ninja
	@$(NINJA) -C build-sim tests/sim/hydrant_sim
	@build-sim/tests/sim/hydrant_sim --seeds $(SEEDS)

# Deaths of the program under load and at every named crash point: CYCLES=1000 is what docs/durability.md speaks of, 100 a look.
crash: all
	@tools/bootstrap build sql check
	@tools/test-venv
	@HYDRANT=$(abspath $(BUILD)/hydrant) .cache/venv/bin/python3 tests/crash/run $(CYCLES)

# An hour of load with faults: nothing grows, nothing is lost. SOAK_SECONDS=600 is the least that says something.
soak: all
	@tools/bootstrap build sql check
	@tools/test-venv
	@HYDRANT=$(abspath $(BUILD)/hydrant) .cache/venv/bin/python3 tests/crash/soak $(SOAK_SECONDS)

# Defects that are put in on purpose (tests/sim/mutants), each found within a minute.
sim-mutants:
	@tests/sim/run-mutants

tidy:
	@tools/tidy

format:
	@command -v clang-format >/dev/null || { echo "hydrant: apt-get install clang-format"; exit 1; }
	@git diff --name-only HEAD -- '*.c' '*.h' | xargs -r clang-format -i

# What all of it needs is installed at once.
demo:
	@tools/bootstrap build sql demo
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) tools/demo

install: all
	install -D -m 755 $(BUILD)/hydrant $(DESTDIR)$(PREFIX)/bin/hydrant
	[ ! -f $(BUILD)/libduckdb.so ] || install -D -m 644 $(BUILD)/libduckdb.so $(DESTDIR)$(PREFIX)/lib/hydrant/libduckdb.so
	install -D -m 644 packaging/hydrant.yaml $(DESTDIR)$(PREFIX)/share/doc/hydrant/hydrant.yaml
	install -D -m 644 packaging/hydrant.service $(DESTDIR)$(PREFIX)/share/doc/hydrant/hydrant.service
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/hydrant/LICENSE

# build-release/deb/hydrant_VERSION_ARCH.deb: program, DuckDB's library, systemd unit, /etc/hydrant/hydrant.yaml.
deb: release
	@tools/deb build-release

clean:
	rm -rf $(BUILD) build-release build-asan build-tsan build-fuzz build-fuzz-coverage build-bench build-sim

help:
	@echo "make          build/hydrant, with what it needs installed by package name"
	@echo "make demo     events in, a lake that answers, in a few minutes"
	@echo "make check    unit and integration tests, ASan and UBSan, tidy: what CI runs"
	@echo "make asan|tsan|fuzz|bench|tidy     one of them (FUZZ_SECONDS=10 a target); make fuzz-coverage"
	@echo "make s3       the tests over real S3 servers on loopback: radosgw and versitygw; S3_TESTS=\"name...\""
	@echo "make s3-load  s3-many   the long forms of two of them, about half an hour each; they print what they measured"
	@echo "make crash    kill -9 under load and at every named crash point, CYCLES=100; power cuts; 1 GiB of log"
	@echo "make soak     an hour of load with faults of every kind, SOAK_SECONDS=3600; memory, handles and disk stay flat"
	@echo "make release  build-release/hydrant: compiled twice, a tenth quicker; make install BUILD=build-release"
	@echo "make deb      a Debian package of it in build-release/deb"
	@echo "make install  PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"
