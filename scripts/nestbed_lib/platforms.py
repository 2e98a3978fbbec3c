"""What this machine can do: for each platform, whether VMX and SVM can be used, and why not."""

import dataclasses
import fcntl
import os
import re
import shutil
import struct
import subprocess

from . import bochs, qemu
from .errors import NestbedError
from .machine import Platform

KVM_DEVICE = "/dev/kvm"
KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
KVM_GET_SUPPORTED_CPUID = 0xC008AE05
KVM_GET_MSRS = 0xC008AE88
KVM_API_VERSION = 12
CPUID_ENTRIES = 256
CPUID_ENTRY = struct.Struct("<10I")
MSR_ENTRY = struct.Struct("<2IQ")
CPUID_1_ECX_VMX = 1 << 5
CPUID_80000001_ECX_SVM = 1 << 2
MSR_VMX_PROCBASED_CTLS2 = 0x48B
PROC2_EPT = 1 << 1


@dataclasses.dataclass(frozen=True)
class Ability:
    """Whether an extension can be used on a platform, and the reason."""

    usable: bool
    why: str


@dataclasses.dataclass(frozen=True)
class Report:
    """One platform's abilities."""

    name: str
    vmx: Ability
    svm: Ability


def _no(why: str) -> Ability:
    return Ability(False, why)


def _kvm_cpuid(kvm: int) -> dict[int, tuple[int, ...]]:
    """What KVM offers to its guests: registers EAX to EDX of each leaf's first subleaf."""
    buffer = bytearray(struct.pack("<2I", CPUID_ENTRIES, 0))
    buffer += bytes(CPUID_ENTRY.size * CPUID_ENTRIES)
    fcntl.ioctl(kvm, KVM_GET_SUPPORTED_CPUID, buffer)
    count = struct.unpack_from("<I", buffer)[0]
    leaves: dict[int, tuple[int, ...]] = {}
    for i in range(count):
        leaf, _, _, *registers = CPUID_ENTRY.unpack_from(buffer, 8 + i * CPUID_ENTRY.size)
        leaves.setdefault(leaf, tuple(registers[:4]))
    return leaves


def _kvm_feature_msr(kvm: int, number: int) -> int:
    buffer = bytearray(struct.pack("<2I", 1, 0) + MSR_ENTRY.pack(number, 0, 0))
    found = fcntl.ioctl(kvm, KVM_GET_MSRS, buffer)
    return MSR_ENTRY.unpack_from(buffer, 8)[2] if found == 1 else 0


def _kvm_abilities(kvm: int) -> Report:
    if fcntl.ioctl(kvm, KVM_GET_API_VERSION) != KVM_API_VERSION:
        why = _no(f"{KVM_DEVICE} does not speak version {KVM_API_VERSION} of KVM's interface")
        return Report("kvm", why, why)
    os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    leaves = _kvm_cpuid(kvm)
    ecx = leaves.get(1, (0,) * 4)[2]
    amd_ecx = leaves.get(0x80000001, (0,) * 4)[2]
    vmx = _no(f"{KVM_DEVICE} opens but offers its guests no VMX (no nesting, or not an Intel CPU)")
    svm = _no(f"{KVM_DEVICE} opens but offers its guests no SVM (no nesting, or not an AMD CPU)")
    if ecx & CPUID_1_ECX_VMX:
        if _kvm_feature_msr(kvm, MSR_VMX_PROCBASED_CTLS2) >> 32 & PROC2_EPT:
            vmx = Ability(True, "nested VMX with EPT")
        else:
            vmx = _no("KVM's nested VMX has no EPT")
    if amd_ecx & CPUID_80000001_ECX_SVM:
        svm = Ability(True, "nested SVM")
    return Report("kvm", vmx, svm)


def probe_kvm() -> Report:
    """Asks /dev/kvm what a guest would get; that it opens proves nothing."""
    if not shutil.which(qemu.PROGRAM):
        why = _no("QEMU is not installed: run scripts/setup")
        return Report("kvm", why, why)
    try:
        kvm = os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        why = _no(f"{KVM_DEVICE} cannot be opened: {error.strerror}")
        return Report("kvm", why, why)
    try:
        return _kvm_abilities(kvm)
    except OSError as error:
        why = _no(f"{KVM_DEVICE} opens but does not work as KVM: {error.strerror}")
        return Report("kvm", why, why)
    finally:
        os.close(kvm)


def probe_bochs() -> Report:
    """Asks Bochs for its CPU models."""
    program = shutil.which(bochs.PROGRAM)
    if not program:
        why = _no("Bochs is not installed: run scripts/setup")
        return Report("bochs", why, why)
    listed = subprocess.run(
        [program, "--help", "cpu"], capture_output=True, text=True, check=False
    )
    models = set(re.findall(r"^(\w+)$", listed.stdout + listed.stderr, re.MULTILINE))
    abilities = []
    for model in (bochs.MODEL, "ryzen"):
        if model in models:
            abilities.append(Ability(True, f"CPU model {model}; ticks are instructions"))
        else:
            abilities.append(_no(f"this build of Bochs has no CPU model {model}"))
    return Report("bochs", *abilities)


def probe_tcg() -> Report:
    """QEMU's emulator: its abilities do not depend on this machine."""
    vmx = _no("QEMU's emulator has no VMX")
    if not shutil.which(qemu.PROGRAM):
        return Report("tcg", vmx, _no("QEMU is not installed: run scripts/setup"))
    return Report("tcg", vmx, Ability(True, "CPU model max; ticks are instructions"))


PROBES = {"kvm": probe_kvm, "bochs": probe_bochs, "tcg": probe_tcg}
NAMES = tuple(PROBES)


def make(name: str, ips: int = bochs.IPS) -> Platform:
    """The platform of that name."""
    if name == "bochs":
        return bochs.Bochs(ips=ips)
    return qemu.Qemu(name, "host" if name == "kvm" else "max")


def choose(name: str, ips: int = bochs.IPS) -> Platform:
    """The platform to use: the named one, or with `auto` the first whose VMX works."""
    if name == "auto":
        reports = [probe() for probe in (probe_kvm, probe_bochs)]
        for report in reports:
            if report.vmx.usable:
                return make(report.name, ips)
        reasons = "; ".join(f"{report.name}: {report.vmx.why}" for report in reports)
        raise NestbedError(f"No platform with VMX works here ({reasons}).")
    if name == "kvm":
        report = probe_kvm()
        if not report.vmx.usable:
            raise NestbedError(f"KVM cannot be used here: {report.vmx.why}. Try --platform bochs.")
    return make(name, ips)
