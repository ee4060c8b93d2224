"""``ajrd history``: the attempts of a stretch of time, one a line, in the manner of sacct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import click

from ajrd.cli import moments
from ajrd.cli.fields import Field, Row
from ajrd.cli.listing import Output, listing
from ajrd.cli.look import looking
from ajrd.cli.storeurl import CONFIG_OPTION
from ajrd.text import elapsed

FIELDS = (
    Field("attemptid", header="JOBID"),
    Field("jobid"),
    Field("attempt"),
    Field("name", elastic=True),
    Field("user", elastic=True),
    Field("partition", elastic=True),
    Field("state"),
    Field("nodes", elastic=True),
    Field("nnodes"),
    Field("cpus"),
    Field("gpus"),
    Field("start"),
    Field("end"),
    Field("elapsed"),
    Field("exitcode"),
    Field("kind"),
    Field("cause", elastic=True),
    Field("decision"),
    Field("branch", elastic=True),
    Field("outcome", elastic=True),
    Field("excluded", elastic=True),
    Field("reason", elastic=True),
)
_DEFAULT = "attemptid,name,user,state,start,elapsed,cause,outcome"


@click.command()
@click.option("-j", "--job", "job_id", help="Only the attempts of this job.", metavar="JOBID")
@click.option("-u", "--user", help="Only jobs of this user.")
@click.option("-p", "--partition", help="Only jobs of this partition.")
@moments.option("since", "now-7days", "Only attempts that began at or after this time.")
@moments.option("until", None, "Only attempts that began before this time.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@listing(FIELDS, _DEFAULT)
@CONFIG_OPTION
def history(
    job_id: str | None,
    user: str | None,
    partition: str | None,
    since: datetime,
    until: datetime | None,
    limit: int,
    out: Output,
    file: Path | None,
) -> None:
    """List attempts in the order in which they began: what broke, what was decided, what came.

    An attempt is called JOBID.ATTEMPT, as ajrd explain takes it. Of more than --limit the newest
    are shown.
    """
    wanted = {"user": user, "partition": partition, "job_id": job_id}
    with looking(file) as look:
        found = look.attempts_since(since, until, wanted, limit)
        now = look.now()
    out.print(_rows(found[::-1], now))


def _rows(found: Sequence[Row], now: datetime) -> Iterator[Row]:
    for row in found:
        start, end = row["started_at"], row["ended_at"]
        assert isinstance(start, datetime)
        assert end is None or isinstance(end, datetime)
        yield {
            **row,
            "attemptid": f"{row['job_id']}.{row['idx']}",
            "jobid": row["job_id"],
            "attempt": row["idx"],
            "nnodes": row["node_count"],
            "start": start,
            "end": end,
            "elapsed": elapsed(((end or now) - start).total_seconds()),
            "exitcode": f"{row['exit_code']}:{row['signal']}",
            "decision": row["verb"],
            "outcome": row["outcome"] or row["decision_state"],
            "excluded": row["exclude_nodes"],
        }
