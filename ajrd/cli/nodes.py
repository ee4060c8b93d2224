"""``ajrd nodes``: the nodes that broken attempts have pointed at, the most suspected first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import click

from ajrd.cli import moments
from ajrd.cli.fields import Field, Row
from ajrd.cli.listing import Output, listing
from ajrd.cli.look import looking
from ajrd.cli.storeurl import CONFIG_OPTION

FIELDS = (
    Field("node"),
    Field("attempts"),
    Field("jobs"),
    Field("excluded"),
    Field("causes", elastic=True),
    Field("kinds", elastic=True),
    Field("first"),
    Field("last"),
    Field("jobid", header="LASTJOB"),
    Field("verdict", elastic=True),
)
#: Suspicions that are looked at, the newest.
_MOST = 20_000


@click.command()
@click.option("-w", "--node", help="Only this node.")
@moments.option("since", "now-30days", "Only suspicions since this time.")
@listing(FIELDS, "node,attempts,jobs,excluded,causes,last,jobid,verdict")
@CONFIG_OPTION
def nodes(node: str | None, since: datetime, out: Output, file: Path | None) -> None:
    """List the nodes that decisions have implicated: how often, by what, and when last.

    ATTEMPTS counts the broken attempts whose evidence points at the node, EXCLUDED how often a
    successor was kept away from it.
    """
    with looking(file) as look:
        found = look.suspicions(since, _MOST)
    of_node: dict[str, list[Row]] = {}
    for row in found:
        of_node.setdefault(str(row["node"]), []).append(row)
    wanted = [rows for name, rows in of_node.items() if node in (None, name)]
    out.print(map(_row, sorted(wanted, key=len, reverse=True)))


def _row(suspicions: list[Row]) -> Row:
    newest, oldest = suspicions[0], suspicions[-1]
    return {
        "node": newest["node"],
        "attempts": len(suspicions),
        "jobs": len({row["job_id"] for row in suspicions}),
        "excluded": sum(bool(row["excluded"]) for row in suspicions),
        "causes": _counted(row["cause"] for row in suspicions),
        "kinds": _counted(row["kind"] for row in suspicions),
        "first": oldest["at"],
        "last": newest["at"],
        "jobid": newest["job_id"],
        "verdict": next((row["verdict"] for row in suspicions if row["verdict"]), ""),
    }


def _counted(words: Iterable[object]) -> list[str]:
    """``xid*3``: each word with how often it occurs, the most frequent first."""
    counts = Counter(str(word) for word in words).most_common()
    return [word if count == 1 else f"{word}*{count}" for word, count in counts]
