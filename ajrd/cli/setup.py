"""``ajrd setup``: finds out, asks, tries, shows what will be changed, and then does it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from ajrd.cli.main import UNREACHABLE
from ajrd.cli.paint import coloured
from ajrd.errors import ConfigError, SetupError
from ajrd.setup import closing, wizard
from ajrd.setup.answers import Answers
from ajrd.setup.console import Console, Terminal
from ajrd.setup.facts import program
from ajrd.setup.host import Host
from ajrd.setup.job import Job
from ajrd.yamlmodel import validated

#: The answers of an earlier run.
_SAVED = "/etc/ajrd/setup-answers.yaml"
#: Of whoever ends a program by Ctrl-C (128 and the number of SIGINT), or by the end of input.
_GIVEN_UP = 130


@click.command()
@click.option("--answers", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Ask nothing: the answers are in this file.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option("--replace-config", is_flag=True,
              help="Replace a configuration that was not written by setup, and keep a copy.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask whether it is to be carried out.")
def setup(file: Path | None, dry_run: bool, replace_config: bool, yes: bool) -> None:
    """Set up the service on this head node: files, database, rights, hooks, units.

    Everything is asked, or taken from --answers, and tried before anything is changed. It may be
    repeated: what is right already stays as it is. The answers of an earlier run, in
    /etc/ajrd/setup-answers.yaml, are the defaults.

    Exit status: 0 it is set up, 1 it is, and the doctor finds a failure, 2 the answers cannot be
    used, 3 something does not work and nothing was changed, 130 given up.
    """
    _demand_root()
    host, console = Host(), Terminal(coloured())
    job = _asked(console, host) if file is None else _given(console, host, file)
    closing.tell_changes(console, job, replace_config)
    if dry_run:
        console.tell("This was a dry run: nothing was changed.")
        return
    if file is None and not yes and not _confirmed(console):
        console.tell("Nothing was changed.")
        return
    closing.carry_out_all(console, job, replace_config)
    sys.exit(asyncio.run(closing.doctor(console, job)))


def _demand_root() -> None:
    if os.geteuid() != 0:
        raise SetupError("setup changes files of the system: run it as root (sudo ajrd setup)")


def _given(console: Console, host: Host, file: Path) -> Job:
    """The answers of a file, which are all tried."""
    job = wizard.examine_all(console, host, program(host, sys.argv), _read(file))
    if job is None:
        console.tell("Nothing was changed.")
        sys.exit(UNREACHABLE)
    return job


def _asked(console: Console, host: Host) -> Job:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("there is no terminal to ask on: give the answers by --answers FILE")
    saved = host.path(_SAVED)
    try:
        answers = _read(saved) if saved.exists() else None
        job = wizard.interview(console, host, program(host, sys.argv), answers)
    except click.Abort:
        console.tell("\nNothing was changed.")
        sys.exit(_GIVEN_UP)
    closing.tell_answers(console, job)
    return job


def _confirmed(console: Console) -> bool:
    try:
        return wizard.confirmed(console, "Carry this out")
    except click.Abort:
        console.tell("\nNothing was changed.")
        sys.exit(_GIVEN_UP)


def _read(file: Path) -> Answers:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the answers {file}: {error}") from None
    return validated(text, str(file), Answers)
