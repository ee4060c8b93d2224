"""Job ids as the commands take them, and the job that one means."""

from __future__ import annotations

import re
import sys
from typing import NoReturn

import click

from ajrd.cli.look import Look
from ajrd.cli.main import UNKNOWN
from ajrd.store.records import JobRecord

_JOB_ID = re.compile(r"\d{1,19}([_+]\d{1,19})?")
_WITH_ATTEMPT = re.compile(r"(\d{1,19}(?:[_+]\d{1,19})?)(?:\.(\d{1,9}))?")


def checked(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """The callback of an argument: refuses what is no job id."""
    if value is not None and not _JOB_ID.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no job id: 123, 123_4 (array task) or 123+1 (het)")
    return value


def with_attempt(
    _ctx: click.Context, _param: click.Parameter, value: str
) -> tuple[str, int | None]:
    """The callback of an argument that may name an attempt: ``123.1``."""
    parts = _WITH_ATTEMPT.fullmatch(value)
    if parts is None:
        raise click.BadParameter(f"{value!r} is no JOBID or JOBID.ATTEMPT: 123, 123_4.0")
    return parts[1], int(parts[2]) if parts[2] else None


#: An argument that may be left out.
ARGUMENT = click.argument("job_id", metavar="JOBID", callback=checked, required=False)


def known_job(look: Look, job_id: str) -> JobRecord:
    """The newest submission with this id; ends the command if ajrd knows none."""
    return look.job(main_part(job_id)) or unknown(look, job_id)


def unknown(look: Look, job_id: str) -> NoReturn:
    """Ends the command, with the tasks of an array that was named as a whole."""
    tasks = [task.job_id for task in look.array_tasks(job_id)]
    hint = f"; it is an array, name one of its tasks: {', '.join(tasks[:5])}" if tasks else ""
    click.echo(f"ajrd: job {job_id} is not known to ajrd{hint}", err=True)
    sys.exit(UNKNOWN)


def main_part(job_id: str) -> str:
    """A het job goes by its first component."""
    return job_id.partition("+")[0]
