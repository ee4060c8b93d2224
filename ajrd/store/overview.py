"""What the pages ask of the store, as plain SQL that SQLite and MySQL understand alike.

Every question about jobs takes an ``owner``: a user who sees his own jobs alone, or None for those
of everybody. So nothing that somebody may not see ever leaves the database. Times go in as text in
the form that both databases keep, for plain SQL knows no column types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ajrd.store.queries import Query
from ajrd.store.rows import stored

#: Attempts of one job, logs, lists of nodes and evidence that one page takes at most.
MOST_ATTEMPTS = 40
MOST_SOURCES = 4000
MOST_LISTS = 8000
MOST_FACTS = 5000
#: Characters of a line where the lines around it are not shown.
SHOWN = 500
_JOBS = " JOIN attempts ON {table}.attempt = attempts.id JOIN jobs ON attempts.job = jobs.id"

#: How an attempt ended, in the words of the pages: told here once, for showing and for filtering.
OUTCOME = (
    "CASE WHEN attempts.ended_at IS NULL THEN 'running'"
    " WHEN decisions.outcome = 'requeued_by_others' THEN 'requeued'"
    " WHEN decisions.outcome = 'chain_ends' THEN 'stopped'"
    " WHEN decisions.verb IN ('requeue', 'chain') AND decisions.state IN ('open', 'converged')"
    " THEN 'recovered'"
    " WHEN decisions.verb = 'stop' AND decisions.state IN ('open', 'converged') THEN 'stopped'"
    " WHEN attempts.state = 'COMPLETED' THEN 'completed'"
    " WHEN attempts.state = 'REQUEUED' THEN 'requeued'"
    " WHEN attempts.state = 'CANCELLED' THEN 'cancelled'"
    " ELSE 'failed' END"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seek:
    """Which jobs a timeline is about: those that may have been there from ``since`` to ``until``.

    ``words`` is part of a name or user, a job id or a node; ``stem`` the letters of that node.
    """

    since: datetime
    until: datetime
    owner: str | None = None
    user: str = ""
    partition: str = ""
    outcome: str = ""
    words: str = ""
    stem: str = ""


def timeline_jobs(seek: Seek, most: int, *, closed: bool) -> Query:
    """Jobs that are over or not, the newest first. What is over was last seen after its end."""
    where, values = _sought(seek)
    where.insert(0, "jobs.closed = 1 AND jobs.seen_at >= :since" if closed else "jobs.closed = 0")
    order = "ORDER BY jobs.seen_at DESC LIMIT :most"
    return Query(
        f"SELECT * FROM jobs WHERE {' AND '.join(where)} {order}",  # noqa: S608 -- texts of ours
        {**values, "most": most},
    )


def _sought(seek: Seek) -> tuple[list[str], dict[str, object]]:
    where = ["jobs.first_submit_time < :until"]
    values: dict[str, object] = {"until": stored(seek.until), "since": stored(seek.since)}
    wanted = {"user": seek.user, "partition": seek.partition}
    for column in (name for name, value in wanted.items() if value):
        where.append(f"jobs.{column} = :{column}")
        values[column] = wanted[column]
    if seek.owner is not None:
        where.append("jobs.user = :owner")
        values["owner"] = seek.owner
    if seek.outcome:
        where.append(_with_outcome())
        values["outcome"] = seek.outcome
    if seek.words:
        where.append(_with_words(bool(seek.stem)))
        values |= _word_values(seek)
    return where, values


def _with_outcome() -> str:
    return (
        "EXISTS (SELECT 1 FROM attempts LEFT JOIN decisions ON decisions.attempt = attempts.id"  # noqa: S608
        " WHERE attempts.job = jobs.id AND attempts.started_at < :until"
        " AND (attempts.ended_at IS NULL OR attempts.ended_at >= :since)"
        f" AND {OUTCOME} = :outcome)"
    )


def _with_words(node: bool) -> str:
    alike = (
        "jobs.job_id = :words OR jobs.job_id LIKE :task ESCAPE '!'"
        " OR jobs.name LIKE :like ESCAPE '!' OR jobs.user LIKE :like ESCAPE '!'"
    )
    on_node = (
        " OR EXISTS (SELECT 1 FROM attempts WHERE attempts.job = jobs.id"
        " AND attempts.nodes LIKE :stem ESCAPE '!')"
    )
    return f"({alike}{on_node if node else ''})"


def _word_values(seek: Seek) -> dict[str, object]:
    values: dict[str, object] = {
        "words": seek.words,
        "task": f"{_literally(seek.words)}!_%",
        "like": f"%{_literally(seek.words)}%",
    }
    return values | ({"stem": f"%{_literally(seek.stem)}%"} if seek.stem else {})


def _literally(text: str) -> str:
    """Without a meaning for LIKE."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def job(job_id: str, owner: str | None) -> Query:
    """The newest submission that had this id."""
    mine = "" if owner is None else " AND jobs.user = :owner"
    return Query(
        f"SELECT * FROM jobs WHERE jobs.job_id = :job_id{mine}"  # noqa: S608
        " ORDER BY first_submit_time DESC LIMIT 1",
        {"job_id": job_id} | ({} if owner is None else {"owner": owner}),
    )


def attempts_of(jobs: Sequence[int]) -> Query:
    """The newest attempts of each of some jobs, the newest first, each with its ``outcome``.

    Each job has a limit of its own, so one that is requeued without end takes none from others.
    """
    places, values = _among("job", jobs)
    return Query(
        f"SELECT attempts.*, {OUTCOME} AS outcome FROM (SELECT id,"  # noqa: S608
        " ROW_NUMBER() OVER (PARTITION BY job ORDER BY idx DESC) AS place"
        f" FROM attempts WHERE job IN ({places})) AS ranked"
        " JOIN attempts ON attempts.id = ranked.id"
        " LEFT JOIN decisions ON decisions.attempt = attempts.id"
        " WHERE ranked.place <= :most ORDER BY attempts.job, attempts.idx DESC",
        {**values, "most": MOST_ATTEMPTS},
    )


def nodes_of(jobs: Sequence[int], stem: str) -> Query:
    """On which lists of nodes with these letters some jobs ran, the newest first."""
    places, values = _among("job", jobs)
    return Query(
        f"SELECT job, nodes FROM attempts WHERE job IN ({places})"  # noqa: S608
        " AND nodes LIKE :stem ESCAPE '!' ORDER BY id DESC LIMIT :most",
        {**values, "stem": f"%{_literally(stem)}%", "most": MOST_LISTS},
    )


def decisions_on(attempts: Sequence[int]) -> Query:
    """The decisions on some attempts."""
    places, values = _among("attempt", attempts)
    return Query(f"SELECT * FROM decisions WHERE attempt IN ({places})", values)  # noqa: S608


def actions_of(decisions: Sequence[int]) -> Query:
    """The actions of some decisions in their order."""
    places, values = _among("decision", decisions)
    return Query(f"SELECT * FROM actions WHERE decision IN ({places}) ORDER BY id", values)  # noqa: S608


_EVIDENCE = ("text", "`before`", "`after`")
_BESIDE = (
    "id", "attempt", "rule", "kind", "cause", "role", "recovery", "source", "`offset`", "line_no",
    "facts", "detected_at", "twin",
)  # fmt: skip


def anomalies_of(attempts: Sequence[int], each: int, *, around: bool = True) -> Query:
    """At most ``each`` of every attempt, its roots first; ``total`` is how many it has.

    Benign lines only take the weight from others: they are nothing that went wrong. Without the
    lines ``around`` it a line is cut, too.
    """
    places, values = _among("attempt", attempts)
    told = [f"anomalies.{name}" for name in (*_BESIDE, *(_EVIDENCE if around else ()))]
    if not around:
        told.append(
            f"SUBSTR(anomalies.text, 1, {SHOWN}) AS text, '[]' AS `before`, '[]' AS `after`"
        )
    return Query(
        f"SELECT {', '.join(told)}, ranked.total AS total FROM (SELECT id,"  # noqa: S608
        " ROW_NUMBER() OVER (PARTITION BY attempt"
        " ORDER BY CASE role WHEN 'root' THEN 0 WHEN 'cascade' THEN 1 ELSE 2 END, id) AS place,"
        " COUNT(*) OVER (PARTITION BY attempt) AS total"
        f" FROM anomalies WHERE attempt IN ({places}) AND role <> 'benign') AS ranked"
        " JOIN anomalies ON anomalies.id = ranked.id WHERE ranked.place <= :each"
        " ORDER BY anomalies.id",
        {**values, "each": each},
    )


def sources_of(attempts: Sequence[int]) -> Query:
    """The log files of some attempts."""
    places, values = _among("attempt", attempts)
    return Query(
        f"SELECT * FROM log_positions WHERE attempt IN ({places}) ORDER BY id LIMIT :most",  # noqa: S608
        {**values, "most": MOST_SOURCES},
    )


def efficiency_of(attempts: Sequence[int]) -> Query:
    """What is reckoned of some attempts."""
    places, values = _among("attempt", attempts)
    return Query(
        f"SELECT * FROM job_efficiency_records WHERE attempt IN ({places})"  # noqa: S608
        " ORDER BY attempt_idx",
        values,
    )


def requests_of(job: int) -> Query:
    """What people have asked for, the newest first."""
    return Query("SELECT * FROM requests WHERE job = :job ORDER BY id DESC LIMIT 20", {"job": job})


def suspicions(since: datetime, owner: str | None) -> Query:
    """Nodes that decisions have implicated, the newest first."""
    return _facts(
        "SELECT node_suspicions.*, attempts.idx AS idx, jobs.job_id AS job_id, jobs.name AS name,"
        " jobs.user AS user FROM node_suspicions",
        "node_suspicions",
        "node_suspicions.at",
        "",
        since,
        owner,
    )


def node_anomalies(since: datetime, owner: str | None) -> Query:
    """Roots whose line names a node, the newest first."""
    return _facts(
        "SELECT anomalies.id AS id, anomalies.attempt AS attempt, anomalies.kind AS kind,"
        " anomalies.cause AS cause, anomalies.facts AS facts, anomalies.detected_at AS detected_at,"
        " attempts.idx AS idx, jobs.job_id AS job_id, jobs.name AS name, jobs.user AS user"
        " FROM anomalies",
        "anomalies",
        "anomalies.detected_at",
        " AND anomalies.role = 'root' AND anomalies.facts LIKE :named",
        since,
        owner,
        named='%"node"%',
    )


def newest_anomalies(since: datetime, owner: str | None, kind: str, cause: str, most: int) -> Query:
    """Roots of one kind and cause ("" for any), the newest first, with the job of each."""
    wanted = {name: value for name, value in (("kind", kind), ("cause", cause)) if value}
    return _facts(
        "SELECT anomalies.*, attempts.idx AS idx, jobs.job_id AS job_id, jobs.name AS name,"
        " jobs.user AS user FROM anomalies",
        "anomalies",
        "anomalies.detected_at",
        " AND anomalies.role = 'root'" + "".join(f" AND anomalies.{it} = :{it}" for it in wanted),
        since,
        owner,
        most,
        **wanted,
    )


def _facts(
    select: str,
    table: str,
    time: str,
    more: str,
    since: datetime,
    owner: str | None,
    most: int = MOST_FACTS,
    **values: str,
) -> Query:
    mine = "" if owner is None else " AND jobs.user = :owner"
    return Query(
        f"{select}{_JOBS.format(table=table)} WHERE {time} >= :since{more}{mine}"
        f" ORDER BY {time} DESC LIMIT :most",
        {**values, "since": stored(since), "most": most}
        | ({} if owner is None else {"owner": owner}),
    )


def causes_by_week(starts: Sequence[datetime], owner: str | None) -> Query:
    """How many attempts each cause has hit in each week; ``week`` counts from the first start."""
    week, values = _weeks("anomalies.detected_at", starts)
    join = "" if owner is None else _JOBS.format(table="anomalies")
    mine = "" if owner is None else " AND jobs.user = :owner"
    return Query(
        f"SELECT anomalies.kind AS kind, anomalies.cause AS cause, {week} AS week,"  # noqa: S608
        " COUNT(DISTINCT anomalies.attempt) AS attempts, MAX(anomalies.detected_at) AS at"
        f" FROM anomalies{join} WHERE anomalies.detected_at >= :week0"
        f" AND anomalies.role = 'root'{mine} GROUP BY anomalies.kind, anomalies.cause, {week}",
        values | ({} if owner is None else {"owner": owner}),
    )


#: Columns of ``job_efficiency_records`` that add up over all attempts, and those that do so over
#: attempts alone whose logs told of progress.
SUMS = ("saved_seconds", "allocated_gpu_hours", "goodput_gpu_hours")
MEASURED = (
    "starting_seconds", "productive_seconds", "lost_seconds", "restart_seconds",
    "automatic_downtime_seconds", "manual_downtime_seconds",
)  # fmt: skip


def efficiency_by_week(starts: Sequence[datetime], owner: str | None) -> Query:
    """Sums over the attempts that started in each week; ``week`` counts from the first start."""
    record = "job_efficiency_records"
    week, values = _weeks(f"{record}.started_at", starts)
    told = f"CASE WHEN {record}.productive_seconds IS NULL THEN 0 ELSE"
    sums = [f"SUM({record}.{name}) AS {name}" for name in SUMS]
    sums += [f"SUM({told} {record}.{name} END) AS {name}" for name in MEASURED]
    mine = "" if owner is None else f" AND {record}.user = :owner"
    return Query(
        f"SELECT {week} AS week, COUNT(*) AS attempts, SUM({record}.recovered) AS recoveries,"  # noqa: S608
        f" {', '.join(sums)} FROM {record} WHERE {record}.started_at >= :week0{mine}"
        f" GROUP BY {week}",
        values | ({} if owner is None else {"owner": owner}),
    )


def _weeks(column: str, starts: Sequence[datetime]) -> tuple[str, dict[str, object]]:
    numbered = reversed(list(enumerate(starts)))
    cases = " ".join(f"WHEN {column} >= :week{number} THEN {number}" for number, _ in numbered)
    return f"CASE {cases} END", {f"week{n}": stored(start) for n, start in enumerate(starts)}


def _among(name: str, numbers: Iterable[int]) -> tuple[str, dict[str, object]]:
    """Named places for an IN; without any number, one that no row has."""
    values: dict[str, object] = {f"{name}{n}": each for n, each in enumerate(numbers)}
    values = values or {f"{name}0": -1}
    return ", ".join(f":{key}" for key in values), values
