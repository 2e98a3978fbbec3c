"""What a machine boots: a Multiboot kernel, its modules, and how big the machine is."""

import dataclasses
from pathlib import Path

from . import paths
from .errors import NestbedError

MEMORY_MIN = 32
MEMORY_MAX = 3072
MODULES_MAX = 32
L3_NAME = "l3"


@dataclasses.dataclass(frozen=True)
class Module:
    """A file for the machine's memory and the text that its Multiboot entry carries."""

    path: Path
    name: str
    words: str = ""

    @property
    def text(self) -> str:
        """The module's string: a name first, then its words."""
        return f"{self.name} {self.words}".strip()

    @classmethod
    def parse(cls, argument: str) -> "Module":
        """From the command line: a file, then a blank and words if it gets any."""
        name, _, words = argument.partition(" ")
        path = Path(name)
        if not path.is_file():
            raise NestbedError(f"The module {name} does not exist or is not a file.")
        return cls(path, path.name, words)


@dataclasses.dataclass(frozen=True)
class Boot:
    """One machine to start; platforms know how."""

    kernel: Path
    words: str
    modules: tuple[Module, ...] = ()
    cpus: int = 1
    memory: int = 128
    steady: bool = True  # ticks repeat where the platform can do that

    def __post_init__(self) -> None:
        if not MEMORY_MIN <= self.memory <= MEMORY_MAX:
            raise NestbedError(
                f"A machine of {self.memory} MiB cannot be made: "
                f"choose {MEMORY_MIN} to {MEMORY_MAX} MiB with --memory."
            )
        if not 1 <= self.cpus <= 32:
            raise NestbedError(f"A machine of {self.cpus} CPUs cannot be made: choose 1 to 32.")
        if len(self.modules) > MODULES_MAX:
            raise NestbedError(f"At most {MODULES_MAX} modules can be given.")
        for module in self.modules:
            if module.path.stat().st_size == 0:
                raise NestbedError(f"The file {module.path} is empty.")

    @property
    def kernel_line(self) -> str:
        """The kernel's command line; its first word is a name, as with every boot loader."""
        return f"{self.kernel.stem} {self.words}".strip()


def nestbed_boot(
    l2: Path,
    l2_words: str = "",
    l3: Path | None = None,
    l3_words: str = "",
    modules: tuple[Module, ...] = (),
    l1_words: str | tuple[str, ...] = "",
    **machine: int,
) -> Boot:
    """A boot of L1 with its guests as modules, in the order that L1 expects.

    With words for several Nestbeds, the outermost first, each runs the next one, which finds its
    image as its first module and hands on the others, and the last one runs `l2`.
    """
    outermost, *inner = (l1_words,) if isinstance(l1_words, str) else l1_words
    nestbed = paths.built("nestbed.elf")
    guests = [Module(nestbed, f"nestbed{depth}", told) for depth, told in enumerate(inner, 2)]
    guests += [Module(l2, "l2", l2_words), *modules]
    if l3:
        guests.append(Module(l3, L3_NAME, l3_words))
    return Boot(nestbed, outermost, tuple(guests), **machine)
