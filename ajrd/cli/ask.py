"""``ajrd pause|resume|requeue|release|abandon JOBID``: asks the leader to do something to a job.

Over the service's socket, where the kernel says who asks; without one the request is written into
the store, by root or whoever else may write there. The leader carries it out or refuses it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from ajrd.cli.jobid import checked, known_job
from ajrd.cli.look import Look, wishing
from ajrd.cli.main import REFUSED, UNREACHABLE
from ajrd.cli.storeurl import CONFIG_OPTION
from ajrd.cli.words import OUTCOMES
from ajrd.errors import StoreUnavailable
from ajrd.model import DecisionState, RequestState, RequestVerb
from ajrd.store.records import DecisionRecord, JobRecord, RequestRecord
from ajrd.text import printable

#: Seconds between two looks with --wait.
_PAUSE = 0.2
_EXIT = (
    "Exit status: 0 asked, and done with --wait; 1 unknown job; 2 usage; 3 store unreachable,"
    " or no answer in time; 4 refused by the leader."
)


def _command(verb: RequestVerb, text: str) -> click.Command:
    @click.command(verb.value, help=f"{cleandoc(text)}\n\n{_EXIT}")
    @click.argument("job_id", metavar="JOBID", callback=checked)
    @click.option("--reason", required=True, help="Why; for the audit trail and for others.")
    @click.option(
        "--wait",
        type=click.FloatRange(0.1, 86400),
        is_flag=False,
        flag_value=60.0,
        metavar="[SECONDS]",
        help="Wait for the end of it, 60 s if no time is given.",
    )
    @CONFIG_OPTION
    def ask(job_id: str, reason: str, wait: float | None, file: Path | None) -> None:
        with wishing(file) as look:
            job = known_job(look, job_id)
            number = look.ask(job, verb, reason)
            if wait is None:
                _say_asked(look, job, verb, number)
                return
            _wait(look, job, number, time.monotonic() + wait)

    return ask


def _say_asked(look: Look, job: JobRecord, verb: RequestVerb, number: int) -> None:
    click.echo(f"request {number}: {verb} job {job.job_id}")
    if not look.leads():
        click.echo("ajrd: no service leads now; it is carried out when one does", err=True)


def _wait(look: Look, job: JobRecord, number: int, until: float) -> None:
    request = _awaited(until, lambda: _answered(look, number))
    if request is None:
        click.echo(f"ajrd: request {number} is not answered yet; it stays open", err=True)
        sys.exit(UNREACHABLE)
    click.echo(printable(f"request {number}, {request.state}: {request.result}"))
    if request.state is RequestState.REFUSED:
        sys.exit(REFUSED)
    if request.verb is RequestVerb.REQUEUE:
        _wait_for_decision(look, job, until)


def _answered(look: Look, number: int) -> RequestRecord | None:
    request = look.request(number)
    return None if request.state is RequestState.OPEN else request


def _wait_for_decision(look: Look, job: JobRecord, until: float) -> None:
    """A requeue was decided: how does it end?"""
    decision = _awaited(until, lambda: _closed(look, job))
    if decision is None:
        click.echo("ajrd: the requeue is still being carried out", err=True)
        sys.exit(UNREACHABLE)
    told = OUTCOMES.get(decision.outcome, decision.outcome)
    click.echo(printable(f"{decision.state}: {told} {decision.detail}".rstrip()))
    if decision.state is DecisionState.ABANDONED:
        sys.exit(REFUSED)


def _closed(look: Look, job: JobRecord) -> DecisionRecord | None:
    fresh = look.job(job.job_id) or job
    found = (attempt.decision for attempt in reversed(look.story(fresh, events=0).attempts))
    newest = next((decision for decision in found if decision is not None), None)
    return newest if newest and newest.state is not DecisionState.OPEN else None


def _awaited(until: float, look: Callable[[], Any]) -> Any:
    """The first answer that is something; None when time is up. A store may be away meanwhile."""
    while True:
        try:
            found = look()
        except StoreUnavailable as error:
            found = None
            if time.monotonic() >= until:
                raise error
        if found is not None or time.monotonic() >= until:
            return found
        time.sleep(_PAUSE)


pause = _command(
    RequestVerb.PAUSE,
    """Do nothing to a job until it is resumed.

    What is found in its logs is recorded, and nothing is decided. A decision under way is still
    finished, so that the job does not stay held.""",
)
resume = _command(
    RequestVerb.RESUME,
    """Look after a paused job again.

    What was found meanwhile is judged if it still stands.""",
)
requeue = _command(
    RequestVerb.REQUEUE,
    """Requeue a job now, whatever its logs say.

    It counts for the budget of its owner; an operator may go beyond that, up to the site's ceiling.
    Refused where ajrd would not act on the job, and if the attempt was decided on already: one
    attempt is acted on once.""",
)
release = _command(
    RequestVerb.RELEASE,
    """Release a job that ajrd holds.

    Holds of users and administrators are not released.""",
)
abandon = _command(
    RequestVerb.ABANDON,
    """Give up what was decided on a job and is still being carried out.

    If the job is held for it, it is released first.""",
)
