# Every entry point of Nestbed; `make help` lists them. New files are found by wildcard: a .c or .S
# in a room is built by being there. CC=clang works too; a change of compiler or flags rebuilds all.
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.DELETE_ON_ERROR:
.SUFFIXES:

ifneq ($(filter default undefined,$(origin CC)),)
CC      := gcc
endif
LD      := ld
AR      := ar
OBJCOPY := objcopy
PYTHON  := /usr/bin/python3
BUILD   := build
JOBS    := $(shell nproc)

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wundef -Wmissing-prototypes -Werror
COMMON   := -std=gnu11 -g $(WARNINGS) -I. -I$(BUILD)/include -MMD -MP
# No SSE, so 8-byte stack alignment is enough; gcc and clang say it differently.
STACK8   := $(if $(findstring clang,$(CC)),-mstack-alignment=8,-mpreferred-stack-boundary=3)
TARGET   := -O2 -ffreestanding -mgeneral-regs-only -mno-red-zone -fno-stack-protector -fno-pic \
	    -mcmodel=small -fno-asynchronous-unwind-tables -fcf-protection=none $(STACK8)
# `make COUNT=0` leaves out the counters of the instructions that L1 executes: what do they cost?
TARGET   += $(if $(filter 0,$(COUNT)),-DNESTBED_COUNT_ACCESSES=0)
HOST     := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
ROM      := -m32 -march=i686 -Os -ffreestanding -mgeneral-regs-only -fno-stack-protector -fno-pic \
	    -fno-asynchronous-unwind-tables -fcf-protection=none
LINK     := $(LD) -nostdlib -static -z max-page-size=4096 -z noexecstack --build-id=none \
	    --no-warn-rwx-segments

# `make V=1` shows whole commands.
quiet = $(if $(V),,@printf '  %-5s %s\n' $(1) $@; )

find-sources = $(sort $(foreach dir,$(1),$(wildcard $(dir)/*.c $(dir)/*.S)))
objects-in   = $(patsubst %,$(1)/%.o,$(basename $(2)))

L1_DIRS    := $(filter-out l1-hypervisor/boot/rom,$(patsubst %/,%,$(wildcard l1-hypervisor/*/ \
	      l1-hypervisor/*/*/)))
L1_SOURCES := $(filter-out %/asm_offsets.c,$(call find-sources,l1-hypervisor $(L1_DIRS) \
	      shadow-vmcs nested-ept))
L1_OBJECTS := $(call objects-in,$(BUILD)/l1,$(L1_SOURCES))
L1_SCRIPT  := $(wildcard l1-hypervisor/boot/nestbed.lds)

GUEST_NAMES := $(filter-out lib linux kvmclient,$(notdir $(patsubst %/,%,$(sort $(dir $(wildcard \
	       guests/*/*.c))))))
GUEST_LIB   := $(call objects-in,$(BUILD)/guest,$(call find-sources,guests/lib) \
	       $(wildcard l1-hypervisor/leaf/string.c))
GUEST_ELFS  := $(GUEST_NAMES:%=$(BUILD)/guests/%.elf)
guest-objects = $(call objects-in,$(BUILD)/guest,$(call find-sources,guests/$(1)))

ROM_OBJECTS := $(call objects-in,$(BUILD)/rom,$(call find-sources,l1-hypervisor/boot/rom))

# What the host tests may link. An archive, so each test pulls in what it uses. The VMX hardware is
# faked: a header of tests/host/hardware stands in for the one with the instructions.
PURE_SOURCES := $(wildcard shadow-vmcs/*.c nested-ept/*.c l1-hypervisor/boot_info.c \
		l1-hypervisor/loader*.c l1-hypervisor/options*.c l1-hypervisor/memory_map*.c \
		l1-hypervisor/refusal.c l1-hypervisor/store.c)
PURE_OBJECTS := $(call objects-in,$(BUILD)/host,$(PURE_SOURCES))
TEST_SOURCES := $(wildcard tests/host/test_*.c)
TEST_HELPERS := $(call objects-in,$(BUILD)/host,$(filter-out $(TEST_SOURCES),$(wildcard \
		tests/host/*.c)))
TEST_BINS    := $(TEST_SOURCES:%.c=$(BUILD)/%)

all: $(if $(L1_SCRIPT),$(BUILD)/nestbed.elf) $(BUILD)/rom.bin $(BUILD)/tools/steady.so \
	$(BUILD)/tools/kvmclient guests

guests: $(GUEST_ELFS) ## build the guest images into build/guests

host-tests: $(TEST_BINS) ## build the host unit tests into build/tests/host

help: ## list the targets
	@echo "make               build everything into $(BUILD)/"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS="$$(printf '\t')" read -r name text; do \
			printf 'make %-13s %s\n' "$$name" "$$text"; done

# --- What a fresh machine runs: set up first, then build, then work ---

run: setup ## measure exits with VMX and SVM in every way: table, results/run.jsonl and .png
	$(MAKE) -j$(JOBS) all
	scripts/nestbed bench

test: setup ## run all tests: host, guests, whole system, baselines
	$(MAKE) -j$(JOBS) all host-tests
	scripts/test

test-host: host-tests ## run the host unit tests only
	scripts/test --host

test-long: setup ## run the tests that are too long for every day too
	$(MAKE) -j$(JOBS) all host-tests
	scripts/test --long

test-kvm: setup ## run the tests with KVM as L0, in Linux inside of the emulator
	$(MAKE) -j$(JOBS) all
	scripts/test --kvm

baseline: all ## take new baselines on purpose: make baseline REASON="why the counts changed"
	scripts/nestbed bench --emulated --update-baseline "$(REASON)"

setup: ## install what is missing (Debian 12 packages)
	@scripts/setup

style: ## check formatting, headers, layers, scripts
	scripts/style

debug: all ## run under the platform's debugger with symbols (PLATFORM=bochs|tcg, L2=image)
	scripts/nestbed debug $(if $(PLATFORM),--platform $(PLATFORM)) $(if $(L2),--l2 $(L2))

fields: $(BUILD)/tools/fields ## print the tables of VMCS and VMCB fields
	@$<

clean: ## remove build/ and results/
	rm -rf $(BUILD) results

# --- Generated headers, and the stamp of compiler and flags ---

write-if-changed = { mkdir -p $(@D) && cat >$@.$$$$ && \
		   if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi; }

$(BUILD)/include/version.h: FORCE
	@printf '#define NESTBED_COMMIT "%s"\n' \
		"$$(git --no-optional-locks describe --always --dirty 2>/dev/null || \
		echo unknown)" | $(write-if-changed)

$(BUILD)/flags: FORCE
	@printf '%s\n' "$$($(CC) --version | head -n 1)" '$(CC) $(COMMON) $(TARGET)' '$(HOST)' \
		'$(ROM)' '$(LINK)' | $(write-if-changed)

$(BUILD)/include/asm_offsets.h: l1-hypervisor/asm_offsets.c $(BUILD)/flags
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) $(TARGET) -MF $(@:.h=.d) -MT $@ \
		-S -o $@.s $<
	$(call quiet,GEN)sed -n 's/.*->\([A-Z0-9_]*\) [$$#]*\(-\{0,1\}[0-9]*\).*/#define \1 \2/p' \
		$@.s >$@

GENERATED := $(BUILD)/include/version.h \
	     $(if $(wildcard l1-hypervisor/asm_offsets.c),$(BUILD)/include/asm_offsets.h)

# --- L1 ---

$(BUILD)/l1/%.o: %.c $(BUILD)/flags | $(GENERATED)
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) $(TARGET) -c -o $@ $<

$(BUILD)/l1/%.o: %.S $(BUILD)/flags | $(GENERATED)
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) $(TARGET) -c -o $@ $<

$(BUILD)/nestbed.lds: $(L1_SCRIPT) l1-hypervisor/layout.h $(BUILD)/flags
	$(call quiet,CC)mkdir -p $(@D) && $(CC) -E -P -x c -I. -o $@ $<

$(BUILD)/nestbed64.elf: $(L1_OBJECTS) $(BUILD)/nestbed.lds
	$(call quiet,LINK)$(LINK) -T $(BUILD)/nestbed.lds -o $@ $(L1_OBJECTS)

# Multiboot 1 loaders take 32-bit images; the 64-bit one keeps the symbols.
$(BUILD)/nestbed.elf: $(BUILD)/nestbed64.elf
	$(call quiet,COPY)$(OBJCOPY) -O elf32-i386 --strip-debug $< $@

# --- Guests ---

$(BUILD)/guest/%.o: %.c $(BUILD)/flags | $(GENERATED)
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) $(TARGET) -c -o $@ $<

$(BUILD)/guest/%.o: %.S $(BUILD)/flags | $(GENERATED)
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) $(TARGET) -c -o $@ $<

define guest-rule
$(BUILD)/guests/$(1)64.elf: $(call guest-objects,$(1)) $(GUEST_LIB) guests/lib/guest.lds
	@mkdir -p $$(@D)
	$$(call quiet,LINK)$(LINK) -T guests/lib/guest.lds -o $$@ $$(filter %.o,$$^)
endef
$(foreach name,$(GUEST_NAMES),$(eval $(call guest-rule,$(name))))

$(BUILD)/guests/%.elf: $(BUILD)/guests/%64.elf
	$(call quiet,COPY)$(OBJCOPY) -O elf32-i386 --strip-debug $< $@

# --- The reset ROM of Bochs ---

$(BUILD)/rom/%.o: %.c $(BUILD)/flags
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) $(ROM) -c -o $@ $<

$(BUILD)/rom/%.o: %.S $(BUILD)/flags
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) $(ROM) -c -o $@ $<

$(BUILD)/rom.elf: $(ROM_OBJECTS) l1-hypervisor/boot/rom/rom.lds
	$(call quiet,LINK)$(LINK) -m elf_i386 -T l1-hypervisor/boot/rom/rom.lds -o $@ $(ROM_OBJECTS)

$(BUILD)/rom.bin: $(BUILD)/rom.elf
	$(call quiet,COPY)$(OBJCOPY) -O binary $< $@

# --- Host: pure logic and its tests under ASan and UBSan ---

$(BUILD)/host/%.o: %.c $(BUILD)/flags | $(GENERATED)
	$(call quiet,CC)mkdir -p $(@D) && $(CC) -Itests/host/hardware $(COMMON) $(HOST) -c -o $@ $<

$(BUILD)/host/pure.a: $(PURE_OBJECTS) $(TEST_HELPERS)
	$(call quiet,AR)mkdir -p $(@D) && rm -f $@ && $(AR) rcs $@ $^

# Zydis tells what instruction some bytes are.
$(BUILD)/tests/host/test_svm_length_zydis: ORACLE := -lZydis
$(BUILD)/tests/host/%: $(BUILD)/host/tests/host/%.o $(BUILD)/host/pure.a
	$(call quiet,LINK)mkdir -p $(@D) && $(CC) $(HOST) -o $@ $< $(BUILD)/host/pure.a -lcmocka $(ORACLE)

# The client that runs our images and Linux in Linux's KVM: static, since it runs in the Linux
# guest, and with the loader of L1, so that both load alike.
$(BUILD)/kvmclient/%.o: %.c $(BUILD)/flags
	$(call quiet,CC)mkdir -p $(@D) && $(CC) $(COMMON) -O2 -c -o $@ $<

$(BUILD)/tools/kvmclient: $(call objects-in,$(BUILD)/kvmclient,$(wildcard guests/kvmclient/*.c) \
		l1-hypervisor/memory_map.c l1-hypervisor/refusal.c $(wildcard l1-hypervisor/loader*.c))
	$(call quiet,LINK)mkdir -p $(@D) && $(CC) -static -o $@ $^

$(BUILD)/tools/%.so: scripts/preload/%.c $(BUILD)/flags
	$(call quiet,LINK)mkdir -p $(@D) && $(CC) $(COMMON) -O1 -fPIC -shared -o $@ $<

$(BUILD)/tools/%: $(BUILD)/host/scripts/%.o $(BUILD)/host/pure.a
	$(call quiet,LINK)mkdir -p $(@D) && $(CC) $(HOST) -o $@ $^

FORCE:

.PHONY: all guests host-tests help run test test-host test-long test-kvm baseline setup style \
	debug fields clean FORCE
.SECONDARY:

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
