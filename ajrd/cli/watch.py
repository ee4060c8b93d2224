"""``ajrd status JOBID --watch``: the same picture again and again, until the job is over."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from ajrd.cli.events import interruptible
from ajrd.cli.main import UNKNOWN
from ajrd.cli.paint import room
from ajrd.cli.status import shown
from ajrd.errors import StoreUnavailable
from ajrd.model import DecisionState, JobState
from ajrd.store.history import JobHistory
from ajrd.text import printable

#: A job that has broken is over for good when nothing was decided on it for so long.
_LAST_WORD = timedelta(seconds=15)
#: Home and clear to the end of each line; clear what is below; cursor off and on.
_HOME, _LINE, _BELOW, _HIDE, _SHOW = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[?25l", "\x1b[?25h"


def watch_job(look: Callable[[], list[JobHistory]], pause: float, job_id: str) -> None:
    """Shows what ``look`` finds every ``pause`` seconds; the store may be away in between."""
    screen = room() is not None
    if screen:
        click.echo(f"{_HIDE}{_HOME}{_BELOW}", nl=False)
    try:
        with interruptible():
            _watch(look, pause, job_id, screen)
    finally:
        if screen:
            click.echo(_SHOW, nl=False)


def _watch(look: Callable[[], list[JobHistory]], pause: float, job_id: str, screen: bool) -> None:
    lines: list[str] = []
    while True:
        before, over = lines, False
        try:
            histories = look()
        except StoreUnavailable as error:
            if not before:
                raise
            _draw([*before, "", printable(f"not up to date: {error}")], screen, pause)
        else:
            if not histories:
                click.echo(f"ajrd: job {job_id} is not known to ajrd", err=True)
                sys.exit(UNKNOWN)
            lines = shown(histories)
            over = all(is_over(history, datetime.now(UTC)) for history in histories)
            if screen or lines != before:
                _draw(lines, screen, None if over else pause)
        if over:
            return
        time.sleep(pause)


def is_over(history: JobHistory, now: datetime) -> bool:
    """Will nothing happen to the job any more, as far as the store can tell?"""
    job, last = history.job, history.attempts[-1] if history.attempts else None
    if job.closed:
        return True
    if not JobState(job.state).ended:
        return False
    if last is None or last.attempt.ended_at is None or job.state == JobState.COMPLETED:
        return last is None or last.attempt.ended_at is not None
    if last.decision is not None:
        return last.decision.state is not DecisionState.OPEN
    return now - last.attempt.ended_at > _LAST_WORD


def _draw(lines: list[str], screen: bool, pause: float | None) -> None:
    if not screen:
        click.echo("\n".join([*lines, ""]))
        return
    rows = shutil.get_terminal_size().lines - 1
    again = f"every {pause:g} s, Ctrl-C ends" if pause is not None else "the job is over"
    head = f"{datetime.now().astimezone().strftime('%H:%M:%S')}  {again}"
    kept = lines if pause is None else lines[: max(rows - 2, 1)]
    click.echo(_HOME + "".join(f"{line}{_LINE}\n" for line in (head, "", *kept)) + _BELOW, nl=False)
    sys.stdout.flush()
