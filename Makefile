# weightfs: mount a machine-learning model as a tree of files.
#
#	make			build/weightfs, nothing else
#	make demo		install what is needed, mount a model, edit it
#	make check		install what the tests need, build, test
#	make install		PREFIX, DESTDIR and SBINDIR are honoured
#
# SANITIZE=1 builds with AddressSanitizer and UndefinedBehaviorSanitizer, SANITIZE=thread
# with ThreadSanitizer, each in a folder of its own. BUILD=DIR builds anywhere else.
# V=1 shows the commands.

VERSION = 0.1.0

ifeq ($(SANITIZE),thread)
BUILD ?= build/tsan
else ifdef SANITIZE
BUILD ?= build/asan
else
BUILD ?= build
endif

PREFIX ?= /usr/local
# umount(8) looks for its helpers in /sbin only.
SBINDIR ?= /sbin
BINDIR = $(PREFIX)/bin
MANDIR = $(PREFIX)/share/man/man1
COMPLETIONDIR = $(PREFIX)/share/bash-completion/completions

PKG_CONFIG ?= pkg-config
PYTHON ?= /usr/bin/python3

PACKAGES = fuse3 hdf5-serial libdeflate liblzf
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PACKAGE_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null)

CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
DEFINES = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DWEIGHTFS_VERSION='"$(VERSION)"'
ifeq ($(SANITIZE),thread)
HARDENING = -fsanitize=thread -fno-omit-frame-pointer
LINKING = -fsanitize=thread
else ifdef SANITIZE
HARDENING = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LINKING = -fsanitize=address,undefined
else
HARDENING = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LINKING = -pie -Wl,-z,relro,-z,now
endif
COMPILE = $(CC) -std=gnu11 -I. $(DEFINES) $(HARDENING) $(WARNINGS) $(PACKAGE_CFLAGS) \
	$(CPPFLAGS) $(CFLAGS) -pthread -MMD -MP
LINK = $(CC) $(LINKING) $(CFLAGS) $(LDFLAGS) -pthread

SOURCES := $(wildcard decoders/base/*.c decoders/grammar/*.c decoders/*.c fs/*.c mount/*.c)
UNITS := $(wildcard tests/unit/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o)
LIBRARY := $(BUILD)/libweightfs.a
PROGRAM := $(BUILD)/weightfs
UNIT_PROGRAMS := $(UNITS:tests/unit/%.c=$(BUILD)/unit/%)
# Fuzz targets; replay.c is their main() where libFuzzer has none. All have the mutator of
# mend.c.
FUZZ_SHARED := edits fuzz mend replay
FUZZ_TARGETS := $(filter-out $(FUZZ_SHARED),$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)
FUZZ_OBJECTS = $(patsubst %,$(BUILD)/obj/tests/fuzz/%.o,$(filter-out replay,$(FUZZ_SHARED)))
FUZZ_MAIN = $(BUILD)/obj/tests/fuzz/replay.o
FUZZ_SECONDS ?= 600

ifdef V
say = @:
else
Q = @
say = @echo '  $(1) $@'
endif

# Builds in parallel unless the caller says how.
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
SUBMAKE = +@$(MAKE) --no-print-directory

all: $(PROGRAM)

units: $(UNIT_PROGRAMS) $(FUZZ_PROGRAMS)

fuzzers: $(FUZZ_PROGRAMS)

$(PROGRAM): $(BUILD)/obj/mount/main.o $(LIBRARY)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ $(PACKAGE_LIBS) -lm $(LDLIBS)

# Made anew each time: ar would keep the members of sources that are gone.
$(LIBRARY): $(filter-out $(BUILD)/obj/mount/main.o,$(OBJECTS))
	$(call say,ar)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ $(PACKAGE_LIBS) -lm $(LDLIBS)

$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(FUZZ_OBJECTS) $(FUZZ_MAIN) $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ $(PACKAGE_LIBS) -lm $(LDLIBS)

$(BUILD)/obj/%.o: %.c Makefile
	$(if $(PACKAGE_LIBS),,$(error $(PACKAGES): not found by $(PKG_CONFIG); \
		scripts/install-deps build installs them))
	@mkdir -p $(@D)
	$(call say,cc)
	$(Q)$(COMPILE) -c -o $@ $<

.SECONDARY:
-include $(OBJECTS:.o=.d) $(UNITS:%.c=$(BUILD)/obj/%.d) \
	$(wildcard $(BUILD)/obj/tests/fuzz/*.d)

# What installs packages starts make anew, which then finds the libraries.
demo:
	@scripts/install-deps demo
	$(SUBMAKE) all
	@BUILD=$(BUILD) PYTHON=$(PYTHON) scripts/demo

check:
	@scripts/install-deps check
	$(SUBMAKE) check-built

check-built: all units
	@BUILD=$(BUILD) PYTHON=$(PYTHON) tests/run \
		scripts/check-includes $(UNIT_PROGRAMS) $(FUZZ_PROGRAMS) $(wildcard tests/system/*)

check-system:
	@scripts/install-deps system
	$(SUBMAKE) all
	@BUILD=$(BUILD) PYTHON=$(PYTHON) tests/run $(wildcard tests/system-root/*)

# What takes longer than CI has: every fault, every truncation, load.
# TORTURE="faults load" runs some of it.
TORTURE ?= $(notdir $(wildcard tests/torture/*))
torture:
	@scripts/install-deps system
	$(SUBMAKE) all fuzzers
	@BUILD=$(BUILD) PYTHON=$(PYTHON) TEST_TIMEOUT=14400 tests/run $(TORTURE:%=tests/torture/%)

check-asan:
	@scripts/install-deps check
	$(SUBMAKE) check-built SANITIZE=1 BUILD=$(BUILD)/asan TEST_TIMEOUT=360

# What many threads do at once.
check-tsan:
	@scripts/install-deps check
	$(SUBMAKE) check-tsan-built SANITIZE=thread BUILD=$(BUILD)/tsan TEST_TIMEOUT=360

check-tsan-built: all $(BUILD)/unit/fs_threads
	@BUILD=$(BUILD) PYTHON=$(PYTHON) tests/run $(BUILD)/unit/fs_threads tests/system/load \
		tests/system/two-hands

# NULL + 0, which clang alone minds, is what an empty text comes to.
# libFuzzer instead of replay.c, on all targets in turn, or FUZZ_TARGETS="json edit".
fuzz:
	@scripts/install-deps fuzz
	$(SUBMAKE) fuzzers CC=clang BUILD=$(BUILD)/libfuzzer FUZZ_MAIN= \
		HARDENING='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=pointer-overflow \
			-fno-sanitize-recover=all -fno-omit-frame-pointer' \
		LINKING=-fsanitize=fuzzer,address,undefined WARNINGS=
	@BUILD=$(BUILD)/libfuzzer FUZZ_SECONDS=$(FUZZ_SECONDS) PYTHON=$(PYTHON) \
		scripts/fuzz $(FUZZ_TARGETS)

lint:
	@scripts/install-deps lint
	@PACKAGE_CFLAGS='$(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)' scripts/lint

measure:
	@$(PYTHON) scripts/measure

# QUICK=1 takes two minutes; ONLY=reading,listing measures these alone; README=1 ends
# with the rows of the README's table.
bench:
	@scripts/bench --install
	$(SUBMAKE) all
	@BUILD=$(BUILD) scripts/bench $(if $(QUICK),--quick) $(if $(README),--readme) \
		$(if $(ONLY),--only $(ONLY))

interop:
	@scripts/install-deps interop
	$(SUBMAKE) all
	@BUILD=$(BUILD) scripts/interop

fixtures:
	@scripts/install-deps interop
	@BUILD=$(BUILD) scripts/make-fixtures

install: all
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(BINDIR)/weightfs
	install -D -m 755 scripts/modeldiff $(DESTDIR)$(BINDIR)/weightfs-diff
	install -D -m 644 mount/weightfs.1 $(DESTDIR)$(MANDIR)/weightfs.1
	install -D -m 644 mount/weightfs.bash $(DESTDIR)$(COMPLETIONDIR)/weightfs
	install -D -m 755 mount/umount.fuse.weightfs $(DESTDIR)$(SBINDIR)/umount.fuse.weightfs || \
		echo 'not installed: umount.fuse.weightfs, with which umount waits for the last' \
			'commit; SBINDIR=DIR puts it elsewhere' >&2

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/weightfs $(DESTDIR)$(BINDIR)/weightfs-diff \
		$(DESTDIR)$(MANDIR)/weightfs.1 \
		$(DESTDIR)$(COMPLETIONDIR)/weightfs $(DESTDIR)$(SBINDIR)/umount.fuse.weightfs

# The virtual environments of interop and fixtures stay: they take minutes.
clean:
	rm -rf $(BUILD)/obj $(BUILD)/unit $(BUILD)/fuzz $(BUILD)/libfuzzer $(BUILD)/tests \
		$(BUILD)/asan $(BUILD)/tsan $(LIBRARY) $(PROGRAM)

.PHONY: all units fuzzers demo check check-built check-system check-asan \
	check-tsan check-tsan-built torture fuzz lint measure bench \
	interop fixtures install uninstall clean
.DELETE_ON_ERROR:
