"""``ajrd efficiency``: what the time of jobs was spent on, and what recovery has saved."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ajrd.cli import moments
from ajrd.cli.look import looking
from ajrd.cli.main import UNKNOWN
from ajrd.cli.sheet import csv_text
from ajrd.cli.storeurl import CONFIG_OPTION
from ajrd.cli.table import columns
from ajrd.kpi.summary import Summary, summarize
from ajrd.store.efficiency import EfficiencyRecord
from ajrd.text import elapsed, local_time

#: Attempts that are read at most.
MOST = 100_000
_ATTEMPT = (
    "JOBID", "ATTEMPT", "STATE", "CAUSE", "STARTED", "QUEUED", "STARTING", "PRODUCTIVE", "LOST",
    "DETECTION", "KILL", "REQUEUE", "RESTART", "AUTOMATIC", "MANUAL", "SAVED", "GPUS", "COMPLETE",
)  # fmt: skip
_GROUP = (
    "ATTEMPTS", "RECOVERED", "WALL", "ETTR", "LOST", "AUTOMATIC", "MANUAL", "SAVED", "GPU-HOURS",
    "GOODPUT", "SAVED-GPU-HOURS",
)  # fmt: skip


def _week(record: EfficiencyRecord) -> str:
    year, week, _ = record.started_at.isocalendar()
    return f"{year}-W{week:02d}"


_KEYS: dict[str, Callable[[EfficiencyRecord], str]] = {
    "job": lambda record: record.job_id,
    "user": lambda record: record.user,
    "partition": lambda record: record.partition,
    "cause": lambda record: record.cause or "none",
    "week": _week,
}


@click.command()
@click.argument("job_id", required=False, metavar="[JOBID]")
@moments.option("since", "30d", "Only attempts that began at or after this time.")
@click.option(
    "--by", type=click.Choice(list(_KEYS)), default="job", show_default=True, help="One row each."
)
@click.option("-n", "--noheader", is_flag=True, help="No header line.")
@click.option("--json", "to_json", is_flag=True, help="Print one JSON array; times in seconds.")
@click.option("--csv", "to_csv", is_flag=True, help="Print comma-separated values.")
@CONFIG_OPTION
def efficiency(
    job_id: str | None,
    since: datetime,
    by: str,
    noheader: bool,
    to_json: bool,
    to_csv: bool,
    file: Path | None,
) -> None:
    """Say what the time of a job's attempts, or of all jobs, was spent on.

    ETTR is the effective training time ratio. `-` is what nobody knows: a job whose logs never told
    of progress, a successor that has not begun. docs/efficiency.md has the formulas.
    """
    if to_json and to_csv:
        raise click.UsageError("--json and --csv exclude each other")
    with looking(file) as look:
        if job_id is None:
            _show_groups(look.efficiency_since(since, MOST), by, noheader, to_json, to_csv)
        else:
            _show_job(look.efficiency_of(job_id, MOST), job_id, noheader, to_json, to_csv)


def _show_job(
    records: Sequence[EfficiencyRecord], job_id: str, noheader: bool, to_json: bool, to_csv: bool
) -> None:
    if not records:
        click.echo(f"ajrd: no attempt of job {job_id} is over, or ajrd does not know it", err=True)
        sys.exit(UNKNOWN)
    if to_json or to_csv:
        _print_values([_plain(record) for record in records], to_json)
        return
    _print_table(_ATTEMPT, map(_attempt_row, records), noheader)
    total = summarize(record.parts for record in records)
    click.echo(
        f"\nETTR {_ratio(total.ettr)}; {_hours(total.goodput_gpu_hours)} of"
        f" {_hours(total.allocated_gpu_hours)} GPU-hours were of use; recovery saved"
        f" {elapsed(total.saved)} against {elapsed(records[-1].parts.manual_baseline)} by hand each"
    )


def _show_groups(
    records: Sequence[EfficiencyRecord], by: str, noheader: bool, to_json: bool, to_csv: bool
) -> None:
    groups: dict[str, list[EfficiencyRecord]] = {}
    for record in records:
        groups.setdefault(_KEYS[by](record), []).append(record)
    sums = [(key, summarize(record.parts for record in each)) for key, each in groups.items()]
    if to_json or to_csv:
        _print_values([{by: key, **asdict(s), "ettr": s.ettr} for key, s in sums], to_json)
    else:
        _print_table((by.upper(), *_GROUP), (_group_row(key, s) for key, s in sums), noheader)
    if len(records) == MOST:
        click.echo(f"ajrd: only the newest {MOST} attempts; choose a later --since", err=True)


def _print_values(values: Sequence[dict[str, Any]], to_json: bool) -> None:
    if to_json:
        click.echo(json.dumps(values, indent=2, default=str))
    elif values:
        lines = [list(values[0]), *(list(each.values()) for each in values)]
        click.echo(csv_text(lines), nl=False)


def _print_table(header: Sequence[str], rows: Iterable[Sequence[object]], noheader: bool) -> None:
    lines = columns(header, rows)
    click.echo("\n".join(lines[1:] if noheader else lines))


def _plain(record: EfficiencyRecord) -> dict[str, Any]:
    values = record.columns()
    del values["attempt"]
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _attempt_row(record: EfficiencyRecord) -> tuple[object, ...]:
    parts = record.parts
    times = (
        parts.queued, parts.starting, parts.productive, parts.lost, parts.detection, parts.kill,
        parts.requeue_wait, parts.restart, parts.automatic_downtime, parts.manual_downtime,
        parts.saved,
    )  # fmt: skip
    return (
        record.job_id,
        record.attempt_idx,
        record.state,
        record.cause or "-",
        local_time(record.started_at),
        *map(_time, times),
        parts.gpus,
        "yes" if parts.complete else "not yet",
    )


def _group_row(key: str, s: Summary) -> tuple[object, ...]:
    return (
        key,
        s.attempts,
        s.recovered,
        elapsed(s.wall),
        _ratio(s.ettr),
        elapsed(s.lost),
        elapsed(s.automatic_downtime),
        elapsed(s.manual_downtime),
        elapsed(s.saved),
        _hours(s.allocated_gpu_hours),
        _hours(s.goodput_gpu_hours),
        _hours(s.saved_gpu_hours),
    )


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else elapsed(seconds)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _hours(value: float) -> str:
    return f"{value:.1f}"
