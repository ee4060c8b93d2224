"""``ajrd watchdog``: releases what a dead ajrd has left held. Reads no configuration, no store."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import click

from ajrd.cli.main import UNREACHABLE
from ajrd.sdnotify import Notify
from ajrd.slurm.cli import CliSlurm
from ajrd.watchdog import Patience, Watchdog, say

#: Time limits of commands after which a look that comes no further hangs.
_LIMITS = 20
_SECONDS = click.FloatRange(0, 86400)
_SOME_SECONDS = click.FloatRange(0.05, 86400)


@click.command()
@click.option("--slurm-conf", metavar="FILE", help="slurm.conf [default: Slurm's own].")
@click.option("--bin-dir", metavar="DIR", help="Where Slurm's commands are [default: PATH].")
@click.option("--timeout", type=_SOME_SECONDS, default=10.0, show_default=True,
              help="Seconds for one command of Slurm.")  # fmt: skip
@click.option("--interval", type=_SOME_SECONDS, default=15.0, show_default=True,
              help="Seconds between two looks at all jobs.")  # fmt: skip
@click.option("--grace", type=_SECONDS, default=30.0, show_default=True,
              help="Seconds after its deadline that a hold is left to ajrd itself.")  # fmt: skip
@click.option("--hold-limit", type=_SECONDS, default=720.0, show_default=True,
              help="The service's recovery.hold_limit: what is watched for longer than this and "
              "the grace is released, whatever the clocks say.")  # fmt: skip
@click.option("--once", is_flag=True, help="One look, then exit.")
@click.option("--dry-run", is_flag=True, help="Only say what would be released.")
def watchdog(
    slurm_conf: str | None,
    bin_dir: str | None,
    timeout: float,
    interval: float,
    grace: float,
    hold_limit: float,
    once: bool,
    dry_run: bool,
) -> None:
    """Release the jobs that ajrd holds past their deadline, until SIGTERM or SIGINT.

    Exit status: 0; with --once 3 if Slurm could not be asked.
    """
    slurm = CliSlurm(slurm_conf, bin_dir, timeout)
    dog = Watchdog(slurm, Patience(hold_limit, grace), dry_run=dry_run)
    if once:
        sys.exit(0 if asyncio.run(dog.look()) else UNREACHABLE)
    asyncio.run(_until_signal(dog, interval, interval + _LIMITS * timeout))


async def _until_signal(dog: Watchdog, interval: float, patience: float) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.create_task(dog.run(interval))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    notify = Notify.of(os.environ)
    beat = asyncio.create_task(notify.beat(lambda: time.monotonic() - dog.stepped < patience))
    say("started", "info", interval=interval)
    notify.ready()
    await asyncio.wait([task])
    notify.stopping()
    beat.cancel()
    if not task.cancelled():
        task.result()
    say("stopped", "info")
