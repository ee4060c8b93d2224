"""Pages of what the store holds, newest first, narrowed by filters: plain SQL for both databases.

A page is found by *stretches*. Rows are numbered as they come, so a page of a list begins right
below the last number that the reader has seen; nothing is skipped or told twice while rows are
added. A filter may leave one row in a million, and then looking for a full page would read the
whole table. So each query looks at a stretch of numbers only, until enough was found or enough time
has gone: such a page is short, or empty, and the next one goes on from there. Where an index leads
to the rows that a filter leaves, a long stretch costs no more than what is found in it: stretches
that were quick are followed by longer ones (:mod:`ajrd.web.paging`), and the end of the table is
soon reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ajrd.store.queries import Query

#: Characters of a log line in a list; the whole of it is in the story of its job.
SHOWN = 500


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its table, the columns of a row, the tables joined to it, what may narrow it.

    ``filters`` are conditions on one ``:value`` each, which has the name of the filter.
    """

    table: str
    columns: str
    joined: str
    filters: Mapping[str, str]

    def span(self) -> Query:
        """The first and the last number that there is; NULL where there is no row."""
        return Query(f"SELECT MIN(id) AS least, MAX(id) AS most FROM {self.table}")  # noqa: S608

    def rows(
        self, wanted: Mapping[str, object], floor: int, before: int, most: int, owner: str | None
    ) -> Query:
        """Those of the numbers from ``floor`` up to ``before``, newest first.

        ``wanted`` has values for some of the filters; with ``owner`` only what is that user's.
        """
        numbered = f"{self.table}.id"
        conditions = [f"{numbered} >= :floor", f"{numbered} < :before"]
        conditions += [self.filters[name] for name in wanted]
        values = {**wanted, "floor": floor, "before": before, "most": most}
        if owner is not None:
            conditions.append("jobs.user = :owner")
            values["owner"] = owner
        return Query(
            f"SELECT {self.columns} FROM {self.table} {self.joined}"  # noqa: S608 -- ours alone
            f" WHERE {' AND '.join(conditions)} ORDER BY {numbered} DESC LIMIT :most",
            values,
        )


_OF_JOB = {
    "job": "jobs.job_id = :job",
    "user": "jobs.user = :user",
    "partition": "jobs.partition = :partition",
}
_JOB = "jobs.cluster, jobs.job_id, jobs.name AS job_name, jobs.user, jobs.partition"
_ATTEMPT = "JOIN attempts ON attempts.id = {table}.attempt JOIN jobs ON jobs.id = attempts.job"


def _times(column: str) -> dict[str, str]:
    """From a moment on, and before another one."""
    return {
        "since": f"{column} >= :since",
        "until": f"{column} < :until",
    }


def _broken_by(attempt: str) -> dict[str, str]:
    """By what its attempt, or one of its attempts, broke first.

    Counted row by row: for an EXISTS MariaDB would first gather all anomalies of the kind.
    """
    found = (
        f"(SELECT COUNT(*) FROM {attempt} AND anomalies.role = 'root'"  # noqa: S608 -- ours alone
        " AND anomalies.{name} = :{name}) > 0"
    )
    return {name: found.format(name=name) for name in ("kind", "cause")}


JOBS = Listing(
    "jobs",
    "jobs.*",
    "",
    {
        **_OF_JOB,
        "state": "jobs.state = :state",
        **_broken_by(
            "attempts JOIN anomalies ON anomalies.attempt = attempts.id"
            " WHERE attempts.job = jobs.id"
        ),
        **_times("jobs.first_submit_time"),
    },
)

ATTEMPTS = Listing(
    "attempts",
    f"attempts.*, {_JOB}",
    "JOIN jobs ON jobs.id = attempts.job",
    {
        **_OF_JOB,
        "state": "attempts.state = :state",
        **_broken_by("anomalies WHERE anomalies.attempt = attempts.id"),
        **_times("attempts.started_at"),
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
        "kind": "anomalies.kind = :kind",
        "cause": "anomalies.cause = :cause",
        "role": "anomalies.role = :role",
        # MariaDB gives a text of a document with its quotes, SQLite without.
        "node": "REPLACE(JSON_EXTRACT(anomalies.facts, '$.node'), '\"', '') = :node",
        **_times("anomalies.detected_at"),
    },
)

DECISIONS = Listing(
    "decisions",
    f"decisions.*, anomalies.kind, attempts.idx AS attempt_idx, attempts.nodes, {_JOB}",
    f"{_ATTEMPT.format(table='decisions')} LEFT JOIN anomalies ON anomalies.id = decisions.anomaly",
    {
        **_OF_JOB,
        "state": "decisions.state = :state",
        "verb": "decisions.verb = :verb",
        "kind": "anomalies.kind = :kind",
        "cause": "decisions.cause = :cause",
        **_times("decisions.created_at"),
    },
)

EVENTS = Listing(
    "events",
    f"events.*, {_JOB}",
    "LEFT JOIN jobs ON jobs.id = events.job",
    {
        **_OF_JOB,
        "event": "events.event = :event",
        **_times("events.at"),
    },
)

SUSPICIONS = Listing(
    "node_suspicions",
    f"node_suspicions.*, attempts.idx AS attempt_idx, {_JOB}",
    _ATTEMPT.format(table="node_suspicions"),
    {
        **_OF_JOB,
        "node": "node_suspicions.node = :node",
        "kind": "node_suspicions.kind = :kind",
        "cause": "node_suspicions.cause = :cause",
        **_times("node_suspicions.at"),
    },
)

EFFICIENCY = Listing(
    "job_efficiency_records",
    "job_efficiency_records.*",
    _ATTEMPT.format(table="job_efficiency_records"),
    {
        **_OF_JOB,
        "state": "job_efficiency_records.state = :state",
        "kind": "job_efficiency_records.kind = :kind",
        "cause": "job_efficiency_records.cause = :cause",
        **_times("job_efficiency_records.started_at"),
    },
)

ALL = (JOBS, ATTEMPTS, ANOMALIES, DECISIONS, EVENTS, SUSPICIONS, EFFICIENCY)


def newest_event() -> Query:
    """The number of the newest event; NULL where there is none."""
    return Query("SELECT MAX(id) AS most FROM events")


def events_numbered(numbers: Iterable[int]) -> Query:
    """Those of these events that are there, each with its job."""
    wanted = ", ".join(str(int(number)) for number in numbers)
    return Query(
        f"SELECT {EVENTS.columns} FROM events {EVENTS.joined}"  # noqa: S608 -- ours alone
        f" WHERE events.id IN ({wanted}) ORDER BY events.id"
    )


def events_behind(number: int, most: int) -> Query:
    """The events with higher numbers, oldest first, each with its job."""
    return Query(
        f"SELECT {EVENTS.columns} FROM events {EVENTS.joined}"  # noqa: S608 -- ours alone
        " WHERE events.id > :number ORDER BY events.id LIMIT :most",
        {"number": number, "most": most},
    )
