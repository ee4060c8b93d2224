"""The command ``slurm/lab``: up, down, status, env."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from labcluster.cluster import Lab
from labcluster.errors import LabError


def default_root() -> Path:
    """``AJRD_LAB_DIR``, else a directory of this user's for temporary files."""
    given = os.environ.get("AJRD_LAB_DIR")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"ajrd-lab-{os.getuid()}"


def main() -> int:
    """Exit codes: 0 done, 1 failed, 3 (status) not running."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.run(Lab(arguments.dir), arguments))
    except LabError as error:
        print(f"slurm/lab: {error}", file=sys.stderr)
        return 1


def _up(lab: Lab, arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    extra = dict(setting.split("=", 1) for setting in arguments.set)
    lab.up(arguments.nodes, cpus=arguments.cpus, accounting=arguments.accounting, extra=extra)
    print(f"{arguments.nodes} nodes are idle after {time.monotonic() - began:.1f} s in {lab.root}")
    print(f"use it:  eval $(slurm/lab env --dir {shlex.quote(str(lab.root))})")
    return 0


def _down(lab: Lab, arguments: argparse.Namespace) -> int:
    if arguments.remove:
        lab.remove()
    elif lab.daemons:
        lab.down()
    return 0


def _status(lab: Lab, _arguments: argparse.Namespace) -> int:
    if not lab.daemons:
        print(f"no lab is running in {lab.root}")
        return 3
    for daemon in lab.daemons:
        state = "running" if daemon.alive else "dead"
        print(f"{daemon.name:10} {daemon.pid:>8}  {state:8} {daemon.log}")
    if not lab.running:
        return 3
    print(lab.command("sinfo"), end="")
    return 0


def _env(lab: Lab, _arguments: argparse.Namespace) -> int:
    for name, value in lab.variables().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _setting(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not Key=Value")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slurm/lab",
        description="A private, real Slurm on this host. It never touches another Slurm.",
        epilog="SLURM_BIN names the bin folder of another Slurm installation to be used.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("up", _up, "start it and wait until all nodes are idle"),
        ("down", _down, "end what it started"),
        ("status", _status, "show its daemons and nodes"),
        ("env", _env, "print what a shell needs to use it"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--dir", type=Path, default=default_root(), help="its directory")
        if name == "up":
            command.add_argument("--nodes", type=int, default=8)
            command.add_argument("--cpus", type=int, default=1, help="of each node, real or not")
            command.add_argument(
                "--accounting", action="store_true", help="with slurmdbd on a private MariaDB"
            )
            command.add_argument(
                "--set",
                action="append",
                default=[],
                type=_setting,
                metavar="Key=Value",
                help="a line of slurm.conf",
            )
        if name == "down":
            command.add_argument("--remove", action="store_true", help="delete its directory too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
