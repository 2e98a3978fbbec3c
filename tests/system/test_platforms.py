"""What the tool says of platforms, above all of a /dev/kvm that is not what it seems."""

import fcntl
import os
import struct

import pytest
from nestbed_lib import boot, machine, platforms, qemu
from nestbed_lib.errors import NestbedError


@pytest.fixture(autouse=True)
def kvm_is_asked(monkeypatch):
    """Whatever the environment says of KVM."""
    monkeypatch.delenv(platforms.KVM_SWITCH, raising=False)


def cpuid_entry(leaf: int, ecx: int) -> bytes:
    return platforms.CPUID_ENTRY.pack(leaf, 0, 0, 0, 0, ecx, 0, 0, 0, 0)


def pretend_kvm(monkeypatch, ecx: int, amd_ecx: int, proc2: int) -> None:
    """A KVM whose answers are these."""

    def ioctl(_fd, request, argument=0):
        if request == platforms.KVM_GET_API_VERSION:
            return platforms.KVM_API_VERSION
        if request == platforms.KVM_CREATE_VM:
            return os.open("/dev/null", os.O_RDWR)
        if request == platforms.KVM_GET_SUPPORTED_CPUID:
            entries = cpuid_entry(1, ecx) + cpuid_entry(0x80000001, amd_ecx)
            argument[: 8 + len(entries)] = struct.pack("<2I", 2, 0) + entries
            return 0
        assert request == platforms.KVM_GET_MSRS
        argument[16:24] = struct.pack("<Q", proc2 << 32)
        return 1

    monkeypatch.setattr(platforms, "KVM_DEVICE", "/dev/null")
    monkeypatch.setattr(fcntl, "ioctl", ioctl)


def test_kvm_with_nested_vmx_and_ept_is_usable(monkeypatch):
    pretend_kvm(monkeypatch, platforms.CPUID_1_ECX_VMX, 0, platforms.PROC2_EPT)
    report = platforms.probe_kvm()
    assert report.vmx.usable and not report.svm.usable


def test_kvm_with_nested_svm_is_usable(monkeypatch):
    pretend_kvm(monkeypatch, 0, platforms.CPUID_80000001_ECX_SVM, 0)
    report = platforms.probe_kvm()
    assert report.svm.usable and not report.vmx.usable


def test_kvm_that_opens_but_offers_nothing_is_recognised(monkeypatch):
    pretend_kvm(monkeypatch, 0, 0, 0)
    report = platforms.probe_kvm()
    assert not report.vmx.usable and "offers its guests no VMX" in report.vmx.why
    assert not report.svm.usable and "offers its guests no SVM" in report.svm.why


def test_kvm_without_nested_ept_is_refused(monkeypatch):
    pretend_kvm(monkeypatch, platforms.CPUID_1_ECX_VMX, 0, 0)
    assert "no EPT" in platforms.probe_kvm().vmx.why


@pytest.mark.parametrize("device, words", [("/dev/null", "does not work as KVM"), ("/x", "opened")])
def test_a_device_that_is_no_kvm_is_recognised(monkeypatch, device, words):
    monkeypatch.setattr(platforms, "KVM_DEVICE", device)
    assert words in platforms.probe_kvm().vmx.why


def test_auto_takes_kvm_only_when_it_works(monkeypatch):
    pretend_kvm(monkeypatch, platforms.CPUID_1_ECX_VMX, 0, platforms.PROC2_EPT)
    assert platforms.choose("auto").name == "kvm"
    pretend_kvm(monkeypatch, 0, 0, 0)
    assert platforms.choose("auto").name == "bochs"


def test_kvm_can_be_switched_off(monkeypatch):
    pretend_kvm(monkeypatch, platforms.CPUID_1_ECX_VMX, 0, platforms.PROC2_EPT)
    monkeypatch.setenv(platforms.KVM_SWITCH, "off")
    assert platforms.choose("auto").name == "bochs"
    with pytest.raises(NestbedError, match=platforms.KVM_SWITCH):
        platforms.choose("kvm")


def test_naming_a_kvm_that_does_not_work_is_refused(monkeypatch):
    pretend_kvm(monkeypatch, 0, 0, 0)
    with pytest.raises(NestbedError, match="offers its guests no VMX"):
        platforms.choose("kvm")


def test_a_kvm_with_svm_serves_what_runs_with_either(monkeypatch):
    pretend_kvm(monkeypatch, 0, platforms.CPUID_80000001_ECX_SVM, 0)
    assert platforms.choose("auto").name == platforms.choose("kvm").name == "kvm"
    assert platforms.choose("auto", wants="svm").name == "kvm"
    assert platforms.choose("auto", wants="vmx").name == "bochs"


def test_auto_takes_a_platform_for_the_extension_that_is_wanted(monkeypatch):
    pretend_kvm(monkeypatch, 0, 0, 0)
    assert platforms.choose("auto", wants="vmx").cpu_model == "corei7_skylake_x"
    assert platforms.choose("auto", wants="svm").cpu_model == "max"
    assert platforms.choose("bochs", wants="svm").cpu_model == "ryzen"


@pytest.mark.parametrize(
    "cpu, name",
    [("tigerlake", "bochs"), ("phenom_8650_toliman", "bochs"), ("EPYC,+svm,+npt", "tcg")],
)
def test_auto_takes_the_platform_that_has_the_cpu_model(monkeypatch, cpu, name):
    pretend_kvm(monkeypatch, 0, 0, 0)
    assert platforms.choose("auto", cpu=cpu).name == name
    assert cpu in platforms.choose(name, cpu=cpu).cpu_model


@pytest.mark.parametrize("name", ["auto", "bochs", "tcg"])
def test_a_cpu_model_that_no_platform_has_is_refused(name):
    with pytest.raises(NestbedError, match="no CPU model vax"):
        platforms.choose(name, cpu="vax")


def test_a_machine_that_qemu_refuses_did_not_end_well(tmp_path):
    kernel = tmp_path / "kernel"
    kernel.write_bytes(bytes(8192))
    outcome = machine.run(qemu.Qemu(cpu="max,sixtyfive-bits=on"), boot.Boot(kernel, ""))
    assert outcome.status == qemu.GOOD_STATUS and not outcome.good


def test_the_platforms_command_lists_all(nestbed):
    said = nestbed("platforms")
    assert said.status == 0
    for name in platforms.NAMES:
        assert name in said.out
