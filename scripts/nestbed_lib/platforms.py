"""What this machine can do: for each platform, whether VMX and SVM can be used, and why not."""

import dataclasses
import fcntl
import os
import shutil
import struct

from . import bochs, qemu
from .guest_list import VMX, SVM
from .errors import NestbedError
from .machine import Platform

KVM_DEVICE = "/dev/kvm"
# `off` in this variable of the environment: as on a machine without KVM.
KVM_SWITCH = "NESTBED_KVM"
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
    if os.environ.get(KVM_SWITCH) == "off":
        why = _no(f"switched off by {KVM_SWITCH} in the environment")
        return Report("kvm", why, why)
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
    models = bochs.models()
    if not models:
        why = _no("Bochs is not installed: run scripts/setup")
        return Report("bochs", why, why)
    abilities = []
    for model in (bochs.MODELS[VMX], bochs.MODELS[SVM]):
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
    return Report("tcg", vmx, Ability(True, f"CPU model {qemu.MODEL}; ticks are instructions"))


PROBES = {"kvm": probe_kvm, "bochs": probe_bochs, "tcg": probe_tcg}
NAMES = tuple(PROBES)


def kvm_nests() -> bool:
    """Whether KVM gives its guests VMX or SVM here."""
    return _ability(probe_kvm(), None).usable


def extension_of(platform: Platform) -> str:
    """The extension that a machine of this platform has."""
    if platform.name == "kvm":
        return VMX if probe_kvm().vmx.usable else SVM
    return SVM if platform.name == "tcg" or platform.cpu_model in bochs.AMD_MODELS else VMX


# What `auto` tries in turn for an image that needs this extension, or runs with either.
AUTO = {VMX: ("kvm", "bochs"), SVM: ("kvm", "tcg", "bochs"), None: ("kvm", "bochs", "tcg")}


def make(
    name: str, ips: int = bochs.IPS, cpu: str | None = None, wants: str | None = None
) -> Platform:
    """The platform of that name with this CPU model, or with one that has the wanted extension."""
    if name == "bochs":
        return bochs.Bochs(model=cpu or bochs.MODELS[wants or VMX], ips=ips)
    return qemu.Qemu(name, cpu or ("host" if name == "kvm" else qemu.MODEL))


def _knows(name: str, cpu: str) -> bool:
    """Whether a platform has a CPU model; what follows a comma are QEMU's words on it."""
    if name == "bochs":
        return cpu in bochs.models()
    return cpu == "host" and name == "kvm" or cpu.partition(",")[0] in qemu.models()


def _ability(report: Report, wants: str | None) -> Ability:
    """What a platform can do for the wanted extension; for either, the better news."""
    if wants:
        return getattr(report, wants)
    return report.vmx if report.vmx.usable or not report.svm.usable else report.svm


def _first(ips: int, cpu: str | None, wants: str | None) -> Platform:
    """The first platform that works, and that has the CPU model if one is named."""
    whys = []
    for name in AUTO[wants]:
        if cpu and (name == "kvm" or not _knows(name, cpu)):
            whys.append(f"{name}: it has no CPU model {cpu}")
            continue
        ability = _ability(PROBES[name](), wants)
        if ability.usable:
            return make(name, ips, cpu, wants)
        whys.append(f"{name}: {ability.why}")
    what = wants.upper() if wants else "VMX or SVM"
    raise NestbedError(f"No platform with {what} works here ({'; '.join(whys)}).")


def choose(
    name: str, ips: int = bochs.IPS, cpu: str | None = None, wants: str | None = None
) -> Platform:
    """The platform to use: the named one, or with `auto` the first that works for what is wanted:
    an extension, or either (none), on a CPU model if one is named."""
    if name == "auto":
        return _first(ips, cpu, wants)
    if cpu and not _knows(name, cpu):
        ask = "bochs-bin --help cpu" if name == "bochs" else f"{qemu.PROGRAM} -cpu help"
        raise NestbedError(f"The platform {name} has no CPU model {cpu}: `{ask}` lists them.")
    if name == "kvm":
        ability = _ability(probe_kvm(), wants)
        if not ability.usable:
            other = "tcg" if wants == SVM else "bochs"
            raise NestbedError(f"KVM cannot be used here: {ability.why}. Try --platform {other}.")
    return make(name, ips, cpu, wants)
