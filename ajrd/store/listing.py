"""Pages of what the store holds, newest first, narrowed by filters: plain SQL for both databases.

A page is found by *windows*. Rows are numbered as they come, so a page of a list begins right below
the last number that the reader has seen; nothing is skipped or told twice while rows are added. A
filter may leave one row in a million, and then looking for a full page would read the whole table.
So each query looks at a stretch of numbers only, and the stretches grow as long as too little was
found in them. Where an index leads to the rows that a filter leaves (it is *sharp*), little found
means little read, and growing goes on; where none does, it ends after some ten thousand numbers:
the page is short, or empty, and the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ajrd.store.queries import Query

#: Numbers in the first stretch; each is so many times longer than the one before.
FIRST, GROWTH = 2000, 4
#: How many stretches one page takes at most: with a sharp filter, and without.
SHARP_STRETCHES, BLUNT_STRETCHES = 9, 3
#: Characters of a log line in a list; the whole of it is in the story of its job.
SHOWN = 500


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one ``:value``; ``sharp``: an index leads to the rows that it leaves."""

    condition: str
    sharp: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its table, the columns of a row, the tables joined to it, what may narrow it."""

    table: str
    columns: str
    joined: str
    filters: Mapping[str, Filter]

    def span(self) -> Query:
        """The first and the last number that there is; NULL where there is no row."""
        return Query(f"SELECT MIN(id) AS least, MAX(id) AS most FROM {self.table}")  # noqa: S608

    def is_sharp(self, wanted: Mapping[str, object]) -> bool:
        """Does an index lead to what these filters leave?"""
        return any(self.filters[name].sharp for name in wanted)

    def rows(
        self, wanted: Mapping[str, object], floor: int, before: int, most: int, owner: str | None
    ) -> Query:
        """Those of the numbers from ``floor`` up to ``before``, newest first.

        ``wanted`` has values for some of the filters; with ``owner`` only what is that user's.
        """
        numbered = f"{self.table}.id"
        conditions = [f"{numbered} >= :floor", f"{numbered} < :before"]
        conditions += [self.filters[name].condition for name in wanted]
        values = {**wanted, "floor": floor, "before": before, "most": most}
        if owner is not None:
            conditions.append("jobs.user = :owner")
            values["owner"] = owner
        return Query(
            f"SELECT {self.columns} FROM {self.table} {self.joined}"  # noqa: S608 -- ours alone
            f" WHERE {' AND '.join(conditions)} ORDER BY {numbered} DESC LIMIT :most",
            values,
        )


def stretches(least: int, before: int, *, sharp: bool) -> Iterator[tuple[int, int]]:
    """(floor, before) of the windows in which one page looks, downwards from ``before``."""
    size = FIRST
    for _ in range(SHARP_STRETCHES if sharp else BLUNT_STRETCHES):
        if before <= least:
            return
        floor = max(least, before - size)
        yield floor, before
        before, size = floor, size * GROWTH


_OF_JOB = {
    "job": Filter("jobs.job_id = :job", sharp=True),
    "user": Filter("jobs.user = :user", sharp=True),
    "partition": Filter("jobs.partition = :partition", sharp=True),
}
_JOB = "jobs.cluster, jobs.job_id, jobs.name AS job_name, jobs.user, jobs.partition"
_ATTEMPT = "JOIN attempts ON attempts.id = {table}.attempt JOIN jobs ON jobs.id = attempts.job"


def _times(column: str, *, sharp: bool) -> dict[str, Filter]:
    """From a moment on, and before another one."""
    return {
        "since": Filter(f"{column} >= :since", sharp),
        "until": Filter(f"{column} < :until", sharp),
    }


def _broken_by(attempt: str) -> dict[str, Filter]:
    """By what its attempt, or one of its attempts, broke first.

    Counted row by row: for an EXISTS MariaDB would first gather all anomalies of the kind.
    """
    found = (
        f"(SELECT COUNT(*) FROM {attempt} AND anomalies.role = 'root'"  # noqa: S608 -- ours alone
        " AND anomalies.{name} = :{name}) > 0"
    )
    return {name: Filter(found.format(name=name)) for name in ("kind", "cause")}


JOBS = Listing(
    "jobs",
    "jobs.*",
    "",
    {
        **_OF_JOB,
        "state": Filter("jobs.state = :state", sharp=True),
        **_broken_by(
            "attempts JOIN anomalies ON anomalies.attempt = attempts.id"
            " WHERE attempts.job = jobs.id"
        ),
        **_times("jobs.first_submit_time", sharp=False),
    },
)

ATTEMPTS = Listing(
    "attempts",
    f"attempts.*, {_JOB}",
    "JOIN jobs ON jobs.id = attempts.job",
    {
        **_OF_JOB,
        "state": Filter("attempts.state = :state"),
        **_broken_by("anomalies WHERE anomalies.attempt = attempts.id"),
        **_times("attempts.started_at", sharp=True),
    },
)

ANOMALIES = Listing(
    "anomalies",
    "anomalies.id, anomalies.attempt, anomalies.rule, anomalies.kind, anomalies.cause,"
    " anomalies.role, anomalies.recovery, anomalies.source, anomalies.offset, anomalies.line_no,"
    f" SUBSTR(anomalies.text, 1, {SHOWN}) AS text, anomalies.facts, anomalies.detected_at,"
    f" attempts.idx AS attempt_idx, {_JOB}",
    _ATTEMPT.format(table="anomalies"),
    {
        **_OF_JOB,
        "kind": Filter("anomalies.kind = :kind", sharp=True),
        "cause": Filter("anomalies.cause = :cause", sharp=True),
        "role": Filter("anomalies.role = :role"),
        # MariaDB gives a text of a document with its quotes, SQLite without.
        "node": Filter("REPLACE(JSON_EXTRACT(anomalies.facts, '$.node'), '\"', '') = :node"),
        **_times("anomalies.detected_at", sharp=True),
    },
)

DECISIONS = Listing(
    "decisions",
    f"decisions.*, anomalies.kind, attempts.idx AS attempt_idx, attempts.nodes, {_JOB}",
    f"{_ATTEMPT.format(table='decisions')} LEFT JOIN anomalies ON anomalies.id = decisions.anomaly",
    {
        **_OF_JOB,
        "state": Filter("decisions.state = :state", sharp=True),
        "verb": Filter("decisions.verb = :verb"),
        "kind": Filter("anomalies.kind = :kind"),
        "cause": Filter("decisions.cause = :cause"),
        **_times("decisions.created_at", sharp=False),
    },
)

EVENTS = Listing(
    "events",
    f"events.*, {_JOB}",
    "LEFT JOIN jobs ON jobs.id = events.job",
    {
        **_OF_JOB,
        "event": Filter("events.event = :event"),
        **_times("events.at", sharp=True),
    },
)

SUSPICIONS = Listing(
    "node_suspicions",
    f"node_suspicions.*, attempts.idx AS attempt_idx, {_JOB}",
    _ATTEMPT.format(table="node_suspicions"),
    {
        **_OF_JOB,
        "node": Filter("node_suspicions.node = :node", sharp=True),
        "kind": Filter("node_suspicions.kind = :kind"),
        "cause": Filter("node_suspicions.cause = :cause"),
        **_times("node_suspicions.at", sharp=True),
    },
)

EFFICIENCY = Listing(
    "job_efficiency_records",
    "job_efficiency_records.*",
    _ATTEMPT.format(table="job_efficiency_records"),
    {
        **_OF_JOB,
        "state": Filter("job_efficiency_records.state = :state"),
        "kind": Filter("job_efficiency_records.kind = :kind"),
        "cause": Filter("job_efficiency_records.cause = :cause"),
        **_times("job_efficiency_records.started_at", sharp=True),
    },
)

ALL = (JOBS, ATTEMPTS, ANOMALIES, DECISIONS, EVENTS, SUSPICIONS, EFFICIENCY)


def newest_event() -> Query:
    """The number of the newest event; NULL where there is none."""
    return Query("SELECT MAX(id) AS most FROM events")


def events_behind(number: int, most: int) -> Query:
    """The events with higher numbers, oldest first, each with its job."""
    return Query(
        f"SELECT {EVENTS.columns} FROM events {EVENTS.joined}"  # noqa: S608 -- ours alone
        " WHERE events.id > :number ORDER BY events.id LIMIT :most",
        {"number": number, "most": most},
    )
