"""The command line of scripts/nestbed: every subcommand, its arguments and examples."""

import argparse
import signal

from . import bench, bochs, commands, conformance, debug, linux, peer, platforms
from .console import complain
from .errors import NestbedError

STATUS_BAD_INPUT = 2
STATUS_INTERRUPTED = 130

RUN_EXAMPLES = """\
examples:
  nestbed run                                    the bench as L2
  nestbed run --native --l2 bench                the same without Nestbed
  nestbed run --l2 hv --l3 bench --append profile=kvm --strategy vmcs=shadow,merge=dirty
  nestbed run --l2 x86/vmx.flat --module env --memory 512 --append "test_vmx_feature_control"
  nestbed run --platform tcg --cpu EPYC,+svm,+npt --l3 bench
  nestbed run --platform tcg --depth 4 --append "ops=cpuid n=20" --exits
  nestbed run --l2 vmlinux --append "console=ttyS0" --module initrd.gz --cpus 2 --exits
"""


def positive(text: str) -> int:
    """An argparse type: a whole number above zero."""
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def machine_arguments() -> argparse.ArgumentParser:
    """Arguments that every subcommand which starts a machine has."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--platform",
        choices=("auto", *platforms.NAMES),
        default="auto",
        help="where to run; auto takes the first that works for what is asked (default)",
    )
    group.add_argument(
        "--cpu",
        metavar="MODEL",
        help="CPU model: of Bochs (corei7_skylake_x has VMX; ryzen, phenom_8650_toliman have SVM)"
        " or of QEMU with its own words (max, EPYC,+svm,+npt)",
    )
    group.add_argument("--cpus", type=positive, default=1, metavar="N", help="CPUs (default 1)")
    group.add_argument(
        "--memory",
        type=positive,
        default=128,
        metavar="MiB",
        help="memory (default %(default)s)",
    )
    group.add_argument(
        "--ips",
        type=positive,
        default=bochs.IPS,
        metavar="N",
        help="Bochs: instructions in a second of emulated time (default %(default)s)",
    )
    group.add_argument(
        "--silence",
        type=positive,
        default=60,
        metavar="SECONDS",
        help="watchdog: CPU seconds without a line that end a run (default %(default)s)",
    )
    group.add_argument(
        "--timeout",
        type=positive,
        default=3600,
        metavar="SECONDS",
        help="watchdog: seconds that end a run in any case (default %(default)s)",
    )
    return parser


def guest_arguments() -> argparse.ArgumentParser:
    """Arguments that choose guests."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("guests")
    group.add_argument(
        "--l2", metavar="IMAGE", help="file or guest name (default: bench; hv with --l3)"
    )
    group.add_argument("--l3", metavar="IMAGE", help="handed to the L2 hypervisor as module `l3`")
    group.add_argument("--append", default="", metavar="WORDS", help="L2's command line")
    group.add_argument("--l3-append", default="", metavar="WORDS", help="L3's command line")
    group.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="FILE",
        help="a module for L2 (initrd, environment); words may follow after a blank",
    )
    group.add_argument(
        "--native", action="store_true", help="run L2 on the platform without Nestbed"
    )
    return parser


def l1_arguments() -> argparse.ArgumentParser:
    """Arguments that say how L1 does its job."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("Nestbed")
    group.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="NAME=WAY[,NAME=WAY]",
        help="how L1 does a job, e.g. vmcs=shadow,merge=dirty; with --depth, 2:vmcs=trap is for L2",
    )
    group.add_argument(
        "--depth",
        type=positive,
        default=1,
        metavar="N",
        help="Nestbed in Nestbed: so many, the guests in the innermost (default 1)",
    )
    group.add_argument(
        "--l1-append", default="", metavar="WORDS", help="further words for L1, e.g. stats=count"
    )
    return parser


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="nestbed", description="Nested virtualization on a bench: start it, measure it."
    )
    subcommands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function, summary: str, epilog: str, *parents) -> argparse.ArgumentParser:
        sub = subcommands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=epilog,
            parents=[make() for make in parents],  # anew: a subcommand may change defaults
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(function=function)
        return sub

    everything = (machine_arguments, guest_arguments, l1_arguments)
    machine = everything[:1]
    run = add("run", commands.command_run, "start L2, and L3 in it", RUN_EXAMPLES, *everything)
    run.add_argument("--json", metavar="FILE", help="write the run as one JSON object")
    run.add_argument("--exits", action="store_true", help="print L1's exit table at the end")
    tools = (
        (bench, machine),
        (linux, machine),
        (peer, machine),
        (conformance, (machine_arguments, l1_arguments)),
        (debug, everything),
    )
    for module, parents in tools:
        name = module.__name__.rpartition(".")[2]
        module.add_arguments(add(name, module.command, module.SUMMARY, module.EXAMPLES, *parents))
    add(
        "platforms",
        commands.command_platforms,
        "say what each platform can do on this machine, and why not",
        "examples:\n  nestbed platforms\n",
    )
    return parser


def main() -> int:
    """Runs the tool; the process status."""
    # Ended by SIGTERM it takes its machines along, as it does when interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = make_parser().parse_args()
    try:
        return arguments.function(arguments)
    except NestbedError as error:
        complain(str(error))
        return STATUS_BAD_INPUT
    except KeyboardInterrupt:
        complain("interrupted")
        return STATUS_INTERRUPTED
