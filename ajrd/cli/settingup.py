"""The way of ``ajrd setup``; apart from its options, since it needs nearly all of ajrd."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ajrd.cli.main import UNREACHABLE
from ajrd.cli.paint import coloured
from ajrd.errors import ConfigError
from ajrd.setup import closing, wanted, wizard
from ajrd.setup.answers import Answers
from ajrd.setup.console import Console, Terminal
from ajrd.setup.facts import program
from ajrd.setup.host import Host
from ajrd.setup.job import Job
from ajrd.yamlmodel import validated

#: Of whoever ends a program by Ctrl-C (128 and the number of SIGINT), or by the end of input.
_GIVEN_UP = 130


def set_up(file: Path | None, *, dry_run: bool, replace_config: bool, yes: bool) -> None:
    """Does not return, but for a dry run: the exit status is that of the command."""
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
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the answers in {file}: {reason}") from None
    return validated(text, str(file), Answers)
