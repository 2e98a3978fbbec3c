"""Linux as the guest of KVM in the Linux guest: what it needs there, and what is known afterwards.

KVM runs the same kernel and user space once more, one level deeper; guests/kvmclient is its client.
KVM counts its guest's exits by itself, so that its table stands beside L1's.
"""

import dataclasses
import json
import re
import shlex
from pathlib import Path

from rich.table import Table

from . import linux_image, paths, trace

CLIENT = "tools/kvmclient"
# Of KVM's guest, and of the machine around it, which holds the guest's files twice.
MEMORY = 256
MEMORY_AROUND = 1024
RESULT = re.compile(r'^ +# (\{"linux":.*\})$', re.MULTILINE)
EXITS = re.compile(r"^ *# exits: (\d+) (\d+)$", re.MULTILINE)
# Exit codes of SVM from 0x400 on have an index in the table of names, and their number beside it.
CODE = re.compile(r"^#define SVM_CODE_(\w+) +(0x\w+?)ULL$", re.MULTILINE)
CODES = paths.ROOT / "shadow-vmcs" / "svm_exits.h"
BACKENDS = {"kvm-amd": "svm", "kvm-intel": "vmx"}


@dataclasses.dataclass(frozen=True)
class Nested:
    """The files and the command that make Linux a guest of KVM."""

    files: tuple[Path, ...]
    command: str


def make(image: linux_image.LinuxImage, words: str, directory: Path) -> Nested:
    """What the Linux guest needs for a guest of its own; its initramfs goes to `directory`."""
    initrd = directory / "guest.cpio"
    linux_image.with_commands(image, [], initrd, {})
    kernel = directory / "vmlinux"
    kernel.symlink_to(image.vmlinux.resolve())
    client = [f"/{Path(CLIENT).name}", "-m", str(MEMORY), f"/{kernel.name}", f"linux {words}"]
    command = shlex.join(["kvm-exits", *client, f"/{initrd.name}", "initrd"])
    return Nested((paths.built(CLIENT), kernel, initrd), command)


def user_ticks(serial: str) -> int | None:
    """Ticks from the making of KVM's guest to its user space; its counter starts at zero then."""
    found = RESULT.search(serial)
    return json.loads(found[1])["linux"]["user_ticks"] if found else None


def names(module: str) -> dict[int, str]:
    """The names of exit reasons as one half of KVM counts them."""
    codes = CODE.findall(CODES.read_text()) if BACKENDS[module] == "svm" else []
    return trace.exit_names(BACKENDS[module]) | {int(code, 0): name for name, code in codes}


def exit_table(serial: str) -> Table | None:
    """How often KVM's guest left for what, as KVM counted; none if it counted nothing."""
    counts = [(int(reason), int(count)) for reason, count in EXITS.findall(serial)]
    if not counts:
        return None
    module = next((name for name in BACKENDS if f"# {name}: " in serial), "kvm-intel")
    known = names(module)
    table = Table(title="Exits of KVM's guest")
    table.add_column("exit")
    for heading in ("count", "%"):
        table.add_column(heading, justify="right")
    everything = sum(count for _, count in counts)
    for reason, count in sorted(counts, key=lambda row: -row[1]):
        share = f"{100 * count / everything:.2f}"
        table.add_row(known.get(reason, f"{reason:#x}"), f"{count:,}", share)
    return table
