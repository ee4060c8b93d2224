"""``ajrd setup``: finds out, asks, tries, shows what will be changed, and then does it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ajrd.cli.main import UNREACHABLE
from ajrd.cli.paint import coloured
from ajrd.errors import ConfigError, SetupError
from ajrd.setup import closing, wanted, wizard
from ajrd.setup.answers import Answers
from ajrd.setup.console import Console, Terminal
from ajrd.setup.facts import program
from ajrd.setup.host import Host
from ajrd.setup.job import Job
from ajrd.yamlmodel import validated

#: Of whoever ends a program by Ctrl-C (128 and the number of SIGINT), or by the end of input.
_GIVEN_UP = 130


@click.command()
@click.option("--answers", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Ask nothing: the answers are in this file.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option("--replace-config", is_flag=True,
              help="Overwrite a config.yaml that setup has not written; keep a copy.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask whether it is to be carried out.")
def setup(file: Path | None, dry_run: bool, replace_config: bool, yes: bool) -> None:
    """Set up the service on this head node: files, database, rights, hooks, units.

    Everything is asked, or taken from --answers, and tried before anything is changed. It may be
    repeated: what is right already stays as it is. The answers of an earlier run, in
    /etc/ajrd/setup-answers.yaml, are the defaults.

    Exit status: 0 it is set up, 1 it is, and the doctor finds a failure, 2 the answers cannot be
    used, 3 something does not work, 130 given up.
    """
    if os.geteuid() != 0:
        raise SetupError("setup changes files of the system: run it as root (sudo ajrd setup)")
    host, console = Host(), Terminal(coloured())
    with _giving_up(console, "Nothing was changed."):
        job, replace_config = _wanted(console, host, file, replace_config)
        planned = closing.tell_changes(console, job, replace_config, whole=dry_run)
        if dry_run:
            console.tell("This was a dry run: nothing was changed.")
            return
        if planned and not (file or yes or closing.confirmed(console, planned)):
            raise click.Abort
    with _giving_up(console, "Interrupted: what was under way is taken back."):
        if planned:
            closing.carry_out(console, job, replace_config)
        sys.exit(asyncio.run(closing.examined(console, job)))


@contextmanager
def _giving_up(console: Console, said: str) -> Iterator[None]:
    """Ctrl-C, the end of the input and a no end it all."""
    try:
        yield
    except (click.Abort, KeyboardInterrupt):
        console.tell(f"\n{said}")
        sys.exit(_GIVEN_UP)


def _wanted(
    console: Console, host: Host, file: Path | None, replace_config: bool
) -> tuple[Job, bool]:
    """What a run goes by, and whether it may overwrite a configuration of others."""
    if file is not None:
        return _given(console, host, file), replace_config
    _demand_terminal()
    replace_config = closing.settle_config(console, host, replace_config)
    return _asked(console, host), replace_config


def _demand_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("there is no terminal to ask on: give the answers by --answers FILE")


def _given(console: Console, host: Host, file: Path) -> Job:
    """The answers of a file, which are all tried."""
    answers = _read(file)
    job = wizard.examine_all(console, host, program(host, sys.argv), answers)
    if job is None:
        console.tell("Nothing was changed.")
        sys.exit(UNREACHABLE)
    return job


def _asked(console: Console, host: Host) -> Job:
    saved = host.path(wanted.ANSWERS)
    answers = _read(saved) if saved.exists() else None
    job = wizard.interview(console, host, program(host, sys.argv), answers)
    closing.tell_answers(console, job)
    return job


def _read(file: Path) -> Answers:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the answers {file}: {error}") from None
    return validated(text, str(file), Answers)
