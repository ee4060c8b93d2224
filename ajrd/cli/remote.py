"""The service's HTTP API over its UNIX socket, for commands of users who may not read the store."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ajrd.errors import AjrdError, RequestRefused, StoreUnavailable
from ajrd.model import RequestVerb
from ajrd.store import efficiency, rows
from ajrd.store.efficiency import EfficiencyRecord
from ajrd.store.history import AttemptHistory, JobHistory
from ajrd.store.records import DecisionRecord, JobRecord, RequestRecord
from ajrd.store.rows import Row

#: Where the API begins; seconds for one answer; rows of a page.
_PREFIX, _TIMEOUT, _PAGE = "/api/v1", 20.0, 250
#: Jobs among which the tasks of an array are looked for.
_SOUGHT = 1000
#: What the API does not tell of a job, an anomaly, an action.
_JOB = {"uid": -1, "raw_id": 0, "restarts_before": 0, "comment": ""}
_ANOMALY = {"twin": None}
_ACTION = {"key": "", "decision": 0}

Document = dict[str, Any]


class _OnSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connect(path: Path) -> Remote | None:
    """The service that listens there; None if none does."""
    connection = _OnSocket(path)
    try:
        connection.connect()
    except OSError:
        connection.close()
        return None
    return Remote(connection)


class Remote:
    """A :class:`~ajrd.cli.look.Look` over the socket."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._stories: dict[str, Document] = {}

    def close(self) -> None:
        """Lets go of the connection."""
        self._connection.close()

    def now(self) -> datetime:
        """The clock of this host: the socket is on it."""
        return datetime.now(UTC)

    def job(self, job_id: str) -> JobRecord | None:
        """The newest submission with this id that the user may see."""
        told = self._ask("GET", f"{_PREFIX}/jobs/{quote(job_id)}", missing=True)
        if told is None:
            return None
        self._stories[told["job_id"]] = told
        return _job(told)

    def array_tasks(self, array_job_id: str) -> list[JobRecord]:
        """The known tasks of an array job, as far as they are among the newest jobs."""
        newest = self._pages("jobs", _SOUGHT)
        found = [_job(told) for told in newest if told["job_id"].startswith(f"{array_job_id}_")]
        return found[::-1]

    def recent_jobs(self, limit: int, user: str | None, partition: str | None) -> list[JobRecord]:
        """The newest jobs, newest first."""
        return [_job(told) for told in self._pages("jobs", limit, user=user, partition=partition)]

    def story(self, job: JobRecord, events: int = 200) -> JobHistory:
        """All that is known of a job."""
        if job.job_id not in self._stories:
            self.job(job.job_id)
        told = self._stories.pop(job.job_id)
        attempts = [_attempt(each, told["id"]) for each in told["attempts"]]
        trail = [rows.event({**each, "job": told["id"]}) for each in told["events"]]
        return JobHistory(_job(told), attempts, trail[len(trail) - events :] if events else [])

    def requests(self, job: JobRecord) -> list[RequestRecord]:
        """What was asked of a job last, oldest first."""
        told = self._ask("GET", f"{_PREFIX}/jobs/{quote(job.job_id)}")
        return [_request(each) for each in told["requests"]]

    def request(self, number: int) -> RequestRecord:
        """One request."""
        return _request(self._ask("GET", f"{_PREFIX}/requests/{number}"))

    def attempts_since(
        self,
        since: datetime,
        until: datetime | None,
        wanted: Mapping[str, str | None],
        limit: int,
    ) -> Sequence[Row]:
        """Attempts with their decisions, newest first."""
        asked = {"user": wanted.get("user"), "partition": wanted.get("partition")}
        asked |= {"job": wanted.get("job_id"), "from": _moment(since), "to": _moment(until)}
        found = list(self._pages("attempts", limit, **asked))
        found.sort(key=lambda told: (told["started_at"], told["id"]), reverse=True)
        # A decision is made after the start of its attempt, maybe long after it.
        asked["to"] = None
        made = {each["attempt"]: each for each in self._pages("decisions", limit * 2, **asked)}
        return [_with_decision(each, made.get(each["id"], {})) for each in found]

    def events_after(self, number: int, job: JobRecord | None, limit: int) -> Sequence[Row]:
        """The newest events with a higher number, newest first."""
        pages = self._pages("events", limit, job=job.job_id if job else None)
        found = []
        for told in pages:
            if told["id"] <= number:
                break
            found.append(rows.plain({**told, "name": told["job_name"]}))
        return found

    def suspicions(self, since: datetime, limit: int) -> Sequence[Row]:
        """Nodes that were implicated, newest first."""
        asked = {"from": _moment(since)}
        return [rows.plain(told) for told in self._pages("nodes", limit, **asked)]

    def efficiency_of(self, job_id: str, limit: int) -> list[EfficiencyRecord]:
        """The efficiency of every attempt of the jobs that had this id, oldest first."""
        return self._efficiency(limit, job=job_id)[::-1]

    def efficiency_since(self, since: datetime, limit: int) -> list[EfficiencyRecord]:
        """The efficiency of the attempts that started since a moment, newest first."""
        return self._efficiency(limit, **{"from": _moment(since)})

    def _efficiency(self, limit: int, **wanted: str | None) -> list[EfficiencyRecord]:
        found = [efficiency.record(told) for told in self._pages("efficiency", limit, **wanted)]
        return sorted(found, key=lambda record: record.started_at, reverse=True)

    def leads(self) -> bool:
        """The process that answers may be a standby: then another one leads."""
        return True

    def ask(self, job: JobRecord, verb: RequestVerb, reason: str) -> int:
        """Asks as the user whom the kernel names; raises RequestRefused if he may not."""
        path = f"{_PREFIX}/jobs/{quote(job.job_id)}/{verb}"
        told = self._ask("POST", path, {"reason": reason})
        if "request" in told:  # the same is asked for already
            return int(told["request"].rpartition("/")[2])
        return int(told["id"])

    def _pages(self, name: str, limit: int, **wanted: str | None) -> Iterator[Document]:
        """Rows of a list, page by page, until there are enough."""
        given = {key: value for key, value in wanted.items() if value is not None}
        size = {"limit": str(min(limit, _PAGE))}
        path: str | None = f"{_PREFIX}/{name}?{urlencode(given | size)}"
        left = limit
        while path is not None and left > 0:
            page = self._ask("GET", path)
            yield from page["items"][:left]
            left -= len(page["items"])
            path = page["next"]

    def _ask(
        self, method: str, path: str, body: Document | None = None, *, missing: bool = False
    ) -> Any:
        """The document; None for what is not there, if that may be ``missing``."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = self._connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise StoreUnavailable(f"the service does not answer on its socket: {error}") from None
        if answer.status == http.HTTPStatus.CONFLICT and "request" in told:
            return told
        if answer.status == http.HTTPStatus.NOT_FOUND and missing:
            return None
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise _problem(answer.status, told)
        return told


def _problem(status: int, told: Document) -> AjrdError:
    detail = str(told.get("detail", f"HTTP status {status}"))
    if status == http.HTTPStatus.FORBIDDEN:
        return RequestRefused(detail)
    return StoreUnavailable(f"the service says: {detail}")


def _moment(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _job(told: Document) -> JobRecord:
    return rows.job({**_JOB, **told})


def _attempt(told: Document, job: int) -> AttemptHistory:
    return AttemptHistory(
        rows.attempt({**told, "job": job}),
        [rows.anomaly({**each, **_ANOMALY}) for each in told["anomalies"]],
        _decision(told["decision"]),
        [rows.source(each) for each in told["sources"]],
    )


def _decision(told: Document | None) -> DecisionRecord | None:
    if told is None:
        return None
    actions: Iterable[Document] = told["actions"]
    return rows.decision(told, tuple(rows.action({**_ACTION, **each}) for each in actions))


def _request(told: Document) -> RequestRecord:
    return rows.request({**told, "job": 0})


def _with_decision(attempt: Document, made: Document) -> Row:
    names = ("verb", "branch", "reason", "cause", "outcome", "exclude_nodes", "kind")
    decision = {name: made.get(name) for name in names}
    decision["decision_state"] = made.get("state")
    return rows.plain({**attempt, **decision, "name": attempt["job_name"]})
