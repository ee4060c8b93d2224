"""What a reader of a list may ask for, as pydantic models: checked, and described, by these."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ajrd.model import DecisionState, Kind, Role, Verb
from ajrd.web.problem import Problem

#: Rows of a page, and the most that may be asked for.
LIMIT, MOST = 100, 250
#: Job ids as Slurm's commands take them: 7, 7_1, 7+1.
JOB_ID = r"^[0-9]{1,18}([_+][0-9]{1,18})?$"
#: RFC 3339, section 5.6.
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?\d*([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _moment(text: Any) -> Any:
    """A time as the store compares it; what UTC cannot say is the first or last that it can."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise ValueError("is not a time like 2026-01-31T12:00:00Z (a + has to be sent as %2B)")
    moment = datetime.fromisoformat(text.upper())
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        moment = datetime.min if moment.year == 1 else datetime.max  # noqa: DTZ901
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


Moment = Annotated[
    str,
    BeforeValidator(_moment, json_schema_input_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
Text = Annotated[str, Field(min_length=1, max_length=64)]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,255}$")]
JobId = Annotated[str, Field(pattern=JOB_ID)]
Number = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Paged(BaseModel):
    """Of which rows, how many. ``cursor`` is found in ``next`` of the page before."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    limit: int = Field(default=LIMIT, ge=1, le=MOST, description="rows of a page")
    cursor: Number | None = Field(default=None, description="where this page begins")
    user: Text | None = Field(default=None, description="of jobs of this user")
    partition: Text | None = Field(default=None, description="of jobs in this partition")
    job: JobId | None = Field(default=None, description="of this job")
    since: Moment | None = Field(default=None, alias="from", description="from this time on")
    until: Moment | None = Field(default=None, alias="to", description="before this time")

    def filters(self) -> dict[str, object]:
        """Those that were given, as the store takes them."""
        given = self.model_dump(exclude_none=True, exclude={"limit", "cursor"}, mode="json")
        return dict(given)


State = Annotated[str, Field(pattern=r"^[A-Z_]{1,32}$")]


class _Broken(BaseModel):
    kind: Kind | None = Field(default=None, description="of this kind of trouble")
    cause: Text | None = Field(default=None, description="of this cause")


class JobsWanted(_Broken, Paged):
    """Jobs; by time of their first submission, by what broke first in one of their attempts."""

    state: State | None = Field(default=None, description="in this state of Slurm")


class AttemptsWanted(_Broken, Paged):
    """Attempts; by their start, by what broke first, by a node that they ran on."""

    state: State | None = Field(default=None, description="in this state of Slurm, or REQUEUED")
    node: NodeName | None = Field(default=None, description="that ran on this node")


class AnomaliesWanted(_Broken, Paged):
    """Anomalies; by the time when they were read, by the node that the line names."""

    role: Role | None = Field(default=None, description="that play this part")
    node: NodeName | None = Field(default=None, description="whose line is about this node")


class DecisionsWanted(_Broken, Paged):
    """Decisions; by their time, by a node that the attempt ran on."""

    state: DecisionState | None = Field(default=None, description="that stand so")
    verb: Verb | None = Field(default=None, description="that want this")
    node: NodeName | None = Field(default=None, description="on attempts that ran on this node")


class EventsWanted(Paged):
    """The audit trail."""

    event: Text | None = Field(default=None, description="of this name")


class SuspicionsWanted(_Broken, Paged):
    """Nodes that were held to be the cause of a failure."""

    node: NodeName | None = Field(default=None, description="of this node")


class EfficiencyWanted(_Broken, Paged):
    """Efficiency records; by the start of their attempt."""

    state: State | None = Field(default=None, description="of attempts in this state")


class StreamWanted(BaseModel):
    """What to listen for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: JobId | None = Field(default=None, description="events of this job alone")
    user: Text | None = Field(default=None, description="events of this user's jobs alone")


def parsed(model: type[BaseModel], request: web.Request) -> Any:
    """The query of a request as a model; raises Problem."""
    names = [name for name, _ in request.query.items()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Problem(400, f"{twice[0]}: is given more than once")
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise Problem(400, complaint(error)) from None


def complaint(error: ValidationError) -> str:
    """The first of what is wrong, in a sentence."""
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    said = fault["msg"].removeprefix("Value error, ")
    said = "is not known here" if fault["type"] == "extra_forbidden" else said
    return f"{where}: {said}" if where else said
