"""A setup from its beginning to its end: shown, or done."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ajrd.errors import AjrdError, SetupError
from ajrd.setup.book import Book
from ajrd.setup.job import Job
from ajrd.setup.making import Change, Work
from ajrd.setup.steps import STEPS


@dataclass(frozen=True, slots=True)
class Planned:
    """A step, and what it would change, in words; files with their differences."""

    step: str
    changes: tuple[str, ...]


def preview(job: Job, replace_config: bool = False) -> list[Planned]:
    """Every step that would change something; raises AjrdError for what would stop it."""
    work = begin(job, replace_config)
    planned = [Planned(name, tuple(c.said for c in step(work))) for name, step in STEPS.items()]
    return [step for step in planned if step.changes]


def carry_out(job: Job, tell: Callable[[str], None], replace_config: bool = False) -> None:
    """Does what is missing, and tells each thing once it is done.

    Raises AjrdError if a step fails: what it had made is gone again, and the steps before it stay,
    so that a repetition goes on there.
    """
    with job.host.alone():
        work = begin(job, replace_config)
        for name in STEPS:
            do(work, name, tell)


def begin(job: Job, replace_config: bool = False) -> Work:
    """What the steps of one run share; raises SetupError for a book that cannot be read."""
    return Work(job, Book.read(job.host), datetime.now().astimezone(), replace_config)


def do(work: Work, name: str, tell: Callable[[str], None]) -> None:
    """One step; raises AjrdError if it fails, and what it had made is gone again."""
    old = os.umask(0o022)
    try:
        changes: list[Change] = list(STEPS[name](work))
        for change in changes:
            change.make()
            tell(change.said)
    except BaseException as error:
        left = work.roll_back()
        if not isinstance(error, AjrdError | OSError):
            raise
        also = f"\nAnd this could not be taken back: {'; '.join(left)}" if left else ""
        raise SetupError(f"step {name}: {error}{also}") from error
    finally:
        os.umask(old)
    work.entries.clear()
