"""The reset ROM: what it loads, and what it refuses in one sentence."""

import tiny
from nestbed_lib import bochs, bootdisk
from nestbed_lib.boot import Boot, Module
from nestbed_lib.machine import End


def refusal(outcome) -> str:
    """The only thing that a machine said which the ROM refused to start."""
    assert outcome.end is End.BAD
    assert [event["ev"] for event in outcome.events] == ["error"]
    return outcome.errors()[0]


def test_loads_an_image_with_load_addresses(run, image):
    outcome = run(Boot(image(tiny.multiboot(tiny.LEAVE_WELL)), ""))
    assert outcome.end is End.GOOD


def test_starts_every_cpu(run, image):
    outcome = run(Boot(image(tiny.multiboot(tiny.LEAVE_WELL)), "", cpus=4))
    assert outcome.end is End.GOOD


def test_refuses_a_kernel_without_header(run, image):
    outcome = run(Boot(image(b"no kernel" * 100), ""))
    assert "no Multiboot 1 header" in refusal(outcome)


def test_refuses_a_kernel_with_unknown_requirements(run, image):
    outcome = run(Boot(image(tiny.multiboot(tiny.LEAVE_WELL, flags=1 << 3)), ""))
    assert "no Multiboot 1 header" in refusal(outcome)


def test_refuses_a_kernel_below_1_mib(run, image):
    outcome = run(Boot(image(tiny.multiboot(tiny.LEAVE_WELL, load_at=0x8000)), ""))
    assert "does not fit" in refusal(outcome)


def test_refuses_a_kernel_larger_than_memory(run, image):
    kernel = tiny.multiboot(tiny.LEAVE_WELL, extra_memory=64 << 20)
    assert "does not fit" in refusal(run(Boot(image(kernel), "", memory=32)))


def test_refuses_a_cut_kernel(run, image):
    kernel = tiny.multiboot(tiny.LEAVE_WELL + bytes(8192))
    assert "corrupt" in refusal(run(Boot(image(kernel[:4096]), "")))


def test_refuses_modules_larger_than_memory(run, image):
    kernel = image(tiny.multiboot(tiny.LEAVE_WELL), "kernel")
    module = Module(image(bytes(33 << 20), "module"), "module")
    assert "modules do not fit" in refusal(run(Boot(kernel, "", (module,), memory=32)))


def test_refuses_a_foreign_disk(run, image, monkeypatch):
    monkeypatch.setattr(bootdisk, "MAGIC", b"FOREIGN!")
    assert "no Nestbed header" in refusal(run(Boot(image(tiny.multiboot(b"")), "")))


def test_refuses_missing_cpus(run, image, monkeypatch):
    monkeypatch.setattr(
        bochs, "CONFIGURATION", bochs.CONFIGURATION.replace("count={cpus}", "count=1")
    )
    outcome = run(Boot(image(tiny.multiboot(tiny.LEAVE_WELL)), "", cpus=2))
    assert "fewer CPUs" in refusal(outcome)
