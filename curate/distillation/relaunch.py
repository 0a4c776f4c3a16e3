"""``accelerate launch --cpu --num_processes N`` starts one process; that one starts the N that were asked for.

accelerate 1.15 starts several processes on CPUs only through MPI, or where its config file says MULTI_GPU. Otherwise it
starts one, leaves it an address to meet at, and tells it no count. The count is read from the command line of the
launcher, a process above this one, with accelerate's own parser; torch's own launcher then runs this process's command
line N times.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from curate.errors import ConfigError

ALREADY = "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"
"""Where torch's launcher and MPI say how many processes they have started."""
NAMES = {
    "accelerate": ["launch"],
    "accelerate-launch": [],
    "accelerate.commands.accelerate_cli": ["launch"],
    "accelerate.commands.launch": [],
}
"""accelerate's launcher, as a console script and as ``python -m`` runs it; the words that follow its name."""
LINE = "launch with --config_file examples/accelerate/cpu.yaml, or torchrun --nproc_per_node 2"


@dataclass(frozen=True)
class Launch:
    """What a command line of accelerate's asks for."""

    processes: int | None
    """On all machines together; None: accelerate was left to choose."""
    machines: int = 1
    rank: int = 0
    """This machine among them."""
    address: str = ""
    """Where several machines meet."""
    port: int = 0

    @property
    def alone(self) -> bool:
        """Whether one process was asked for."""
        return self.processes == 1 and self.machines == 1

    def options(self) -> list[str]:
        """The same for torch's launcher.

        Raises:
            ConfigError: processes that cannot be shared out evenly.
        """
        here, left = divmod(self.processes or 0, self.machines)
        if left or not here:
            raise ConfigError(
                f"accelerate launch: {self.processes} processes on {self.machines} machines",
                hint="give --num_processes a multiple of --num_machines",
            )
        if self.machines == 1:
            return ["--standalone", "--nproc_per_node", str(here)]
        meeting = ["--master_addr", self.address, "--master_port", str(self.port)]
        return ["--nnodes", str(self.machines), "--node_rank", str(self.rank), "--nproc_per_node", str(here), *meeting]


def become_several(device: str) -> None:
    """Start the processes that accelerate was asked for, where it has started one; returns where nothing is to do.

    Raises:
        ConfigError: how many are wanted cannot be found out, or they cannot be had.
        SystemExit: they ran; the exit status is that of the first that failed, 0 where none did.
        KeyboardInterrupt: they were interrupted.
    """
    if not _left_alone():
        return
    launch = find_launch()
    if launch is None or launch.processes is None:
        raise ConfigError(
            "accelerate launch: several processes were asked for, one was started, and how many is not to be found out",
            hint=LINE,
        )
    if launch.alone:
        return
    if device != "cpu":
        raise ConfigError(
            f"accelerate launch: {launch.processes} processes were asked for and one was started, for want of GPUs",
            hint="give --num_processes the number of GPUs, or keep off them with --cpu",
        )
    run_again(launch.options())


def refuse_several(what: str) -> None:
    """Refuse several processes for what one process writes.

    Raises:
        ConfigError: a launcher has started several, or was asked for them.
    """
    several = any(os.environ.get(name, "1") != "1" for name in ALREADY)
    if _left_alone():
        launch = find_launch()
        several = launch is None or not launch.alone
    if several:
        raise ConfigError(
            f"{what} is written by one process, and a launcher was asked for several",
            hint="run it without one, or curate run --only-gates first and then launch curate distill with its tickets",
        )


def _left_alone() -> bool:
    """Whether accelerate started this process alone and left it an address at which several would meet."""
    launched = "ACCELERATE_USE_CPU" in os.environ and "MASTER_PORT" in os.environ
    return launched and not any(name in os.environ for name in ALREADY)


def find_launch() -> Launch | None:
    """What the nearest accelerate launcher above this process was asked for; None where there is none to be seen."""
    try:
        import psutil
    except ImportError:
        return None
    with suppress(psutil.Error):
        for process in psutil.Process().parents():
            words = find_arguments(process.cmdline())
            if words is not None:
                return read_launch(words, Path(process.cwd()))
    return None


def find_arguments(command: Sequence[str]) -> list[str] | None:
    """The arguments of ``accelerate launch`` in a process's command line; None if it is another command."""
    for place, word in enumerate(command, 1):
        follows = NAMES.get(Path(word).name.removesuffix(".exe"))
        if follows is not None and list(command[place : place + len(follows)]) == follows:
            return list(command[place + len(follows) :])
    return None


def read_launch(words: Sequence[str], folder: Path) -> Launch | None:
    """What arguments of ``accelerate launch`` ask for, its config file included; None where accelerate is not there.

    Args:
        words: the arguments.
        folder: what a relative config file is relative to.
    """
    try:
        from accelerate.commands.config import default_config_file, load_config_from_file
        from accelerate.commands.launch import launch_command_parser
    except ImportError:
        return None
    told = vars(launch_command_parser().parse_args(list(words)))
    file = told["config_file"]
    if file is None and not told["cpu"] and Path(default_config_file).is_file():
        file = default_config_file
    if file is not None:  # as accelerate does: what the command line leaves open is the file's to say
        kept = vars(load_config_from_file(str(folder / file)))
        told |= {name: value for name, value in kept.items() if told.get(name) is None}
    return Launch(
        processes=told["num_processes"],
        machines=told["num_machines"] or 1,
        rank=told["machine_rank"] or 0,
        address=told["main_process_ip"] or "",
        port=told["main_process_port"] or 29500,
    )


def run_again(options: Sequence[str]) -> NoReturn:
    """Run this process's command line in several processes, by torch's launcher, and end as they do.

    Raises:
        SystemExit, KeyboardInterrupt: see ``become_several``.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    command = ["--no_python", sys.executable, *sys.orig_argv[1:]]
    try:
        run.run(run.parse_args([*options, *command]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        raise SystemExit(code if code >= 0 else 128 - code) from None
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + error.sigval) from None
    raise SystemExit(0)
