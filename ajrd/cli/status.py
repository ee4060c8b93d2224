"""``ajrd status JOBID``: the attempts of a job, what broke, what was decided, what came of it.

``ajrd status --service`` tells instead which process leads, and how the database is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ajrd.cli.jobid import ARGUMENT, main_part
from ajrd.cli.look import looking
from ajrd.cli.main import UNKNOWN, UNREACHABLE
from ajrd.cli.paint import for_terminal, painter, room
from ajrd.cli.service_view import look, service_json, service_text
from ajrd.cli.status_view import as_json, as_text
from ajrd.cli.storeurl import CONFIG_OPTION, site_config, store_address
from ajrd.store.history import JobHistory


@click.command()
@ARGUMENT
@click.option("--service", is_flag=True, help="Show who leads, and the state of the database.")
@click.option("--json", "to_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--watch",
    type=click.FloatRange(0.1, 3600),
    is_flag=False,
    flag_value=2.0,
    metavar="[SECONDS]",
    help="Show it again every so often, 2 s if not said, until the job is over.",
)
@CONFIG_OPTION
def status(
    job_id: str | None, service: bool, to_json: bool, watch: float | None, file: Path | None
) -> None:
    """Show a job: its attempts, anomalies, decisions and their outcomes.

    Exit status: 0 found, 1 unknown job, 2 usage, 3 store or Slurm unreachable. With --service: 0 if
    a process leads, 3 if none does.
    """
    if service == (job_id is not None):
        raise click.UsageError("give a job id, or --service")
    if watch is not None and (service or to_json):
        raise click.UsageError("--watch goes with a job id, and not with --json")
    if job_id is None:
        _service(to_json, file)
    elif watch is not None:
        from ajrd.cli.watch import watch_job

        watch_job(lambda: _histories(job_id, file)[0], watch, job_id)
    else:
        _job(job_id, to_json, file)


def _service(to_json: bool, file: Path | None) -> None:
    seen = look(store_address(file))
    click.echo(json.dumps(service_json(seen), indent=2) if to_json else service_text(seen))
    if seen.leader is None:
        sys.exit(UNREACHABLE)


def _job(job_id: str, to_json: bool, file: Path | None) -> None:
    histories, one = _histories(job_id, file)
    if not histories:
        _outside(job_id, to_json, file)
        return
    if to_json:
        views = [as_json(history) for history in histories]
        click.echo(json.dumps(views[0] if one else {"array": job_id, "tasks": views}, indent=2))
    else:
        click.echo("\n".join(shown(histories)))


def _histories(job_id: str, file: Path | None) -> tuple[list[JobHistory], bool]:
    """The job, or the known tasks of an array; and whether it is the job itself."""
    with looking(file) as look:
        job = look.job(main_part(job_id))
        tasks = [] if job else look.array_tasks(job_id)
        found = [job] if job else tasks
        return [look.story(each) for each in found], job is not None


def shown(histories: list[JobHistory]) -> list[str]:
    """The lines about some jobs, as the terminal has room and colours."""
    columns, dye = room(), painter()
    texts = [as_text(history, room=columns, paint=dye) for history in histories]
    return list(for_terminal("\n\n".join("\n".join(text) for text in texts).split("\n")))


def _outside(job_id: str, to_json: bool, file: Path | None) -> None:
    """A job that is not in the store: Slurm may know it, and the policy says why it is not ours."""
    from ajrd.cli.outside import explain_from_slurm

    found = explain_from_slurm(job_id, site_config(file))
    if found is None:
        click.echo(f"ajrd: job {job_id} is known neither to ajrd nor to Slurm", err=True)
        sys.exit(UNKNOWN)
    if to_json:
        click.echo(json.dumps({"job": found, "attempts": [], "events": []}, indent=2))
    else:
        click.echo(f"Job {job_id}: {found['state']}, not managed by ajrd: {found['note']}")
