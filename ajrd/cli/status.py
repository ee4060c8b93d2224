"""``ajrd status JOBID``: the attempts of a job, what broke, what was decided, what came of it.

``ajrd status --service`` tells instead which process leads, and how the database is.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import click

from ajrd.cli.main import UNKNOWN, UNREACHABLE
from ajrd.cli.service_view import look, service_json, service_text
from ajrd.cli.status_view import as_json, as_text
from ajrd.cli.storeurl import CONFIG_OPTION, config_path, store_address
from ajrd.store.history import read_history
from ajrd.store.read import Reader

_JOB_ID = re.compile(r"\d{1,19}([_+]\d{1,19})?")


def _job_id(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _JOB_ID.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no job id: 123, 123_4 (array task) or 123+1 (het)")
    return value


@click.command()
@click.argument("job_id", metavar="JOBID", callback=_job_id, required=False)
@click.option("--service", is_flag=True, help="Show who leads, and the state of the database.")
@click.option("--json", "to_json", is_flag=True, help="Print one JSON object.")
@CONFIG_OPTION
def status(job_id: str | None, service: bool, to_json: bool, file: Path | None) -> None:
    """Show a job: its attempts, anomalies, decisions and their outcomes.

    Exit status: 0 found, 1 unknown job, 2 usage, 3 store or Slurm unreachable. With --service: 0 if
    a process leads, 3 if none does.
    """
    if service == (job_id is not None):
        raise click.UsageError("give a job id, or --service")
    if job_id is None:
        _service(to_json, file)
    else:
        _job(job_id, to_json, file)


def _service(to_json: bool, file: Path | None) -> None:
    seen = look(store_address(file))
    click.echo(json.dumps(service_json(seen), indent=2) if to_json else service_text(seen))
    if seen.leader is None:
        sys.exit(UNREACHABLE)


def _job(job_id: str, to_json: bool, file: Path | None) -> None:
    reader = Reader(store_address(file))
    try:
        job = reader.job(job_id.partition("+")[0])  # a het job goes by its first component
        tasks = [] if job else reader.array_tasks(job_id)
        histories = [read_history(reader, each) for each in ([job] if job else tasks)]
    finally:
        reader.close()
    if not histories:
        _outside(job_id, to_json, config_path(file))
        return
    if to_json:
        views = [as_json(history) for history in histories]
        click.echo(json.dumps(views[0] if job else {"array": job_id, "tasks": views}, indent=2))
    else:
        click.echo("\n\n".join("\n".join(as_text(history)) for history in histories))


def _outside(job_id: str, to_json: bool, file: Path) -> None:
    """A job that is not in the store: Slurm may know it, and the policy says why it is not ours."""
    from ajrd.cli.outside import explain_from_slurm
    from ajrd.config import load

    found = explain_from_slurm(job_id, load(file))
    if found is None:
        click.echo(f"ajrd: job {job_id} is known neither to ajrd nor to Slurm", err=True)
        sys.exit(UNKNOWN)
    if to_json:
        click.echo(json.dumps({"job": found, "attempts": [], "events": []}, indent=2))
    else:
        click.echo(f"Job {job_id}: {found['state']}, not managed by ajrd: {found['note']}")
