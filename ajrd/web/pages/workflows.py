"""The first page: a timeline of jobs, one lane a job, one bar an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ajrd.store.overview import Seek
from ajrd.web.pages import lanes
from ajrd.web.pages.lanes import Lane, Outcome
from ajrd.web.pages.look import PAGES, find_jobs, told_of
from ajrd.web.pages.shell import Shell, owner
from ajrd.web.pages.span import NAMED, Span, read_span

#: Pixels for which triangles are bundled until the browser says how many there are.
WIDTH = 900
#: Characters of a filter: names are no longer.
_LONGEST = 255
_FILTERS = ("q", "user", "partition", "outcome")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request understood: ``filters`` are those that are set, ``view`` is ``table`` or ""."""

    span: Span
    filters: dict[str, str]
    view: str
    page: int
    width: int

    def query(self, **changes: str) -> dict[str, str]:
        """What asks for it again, or for something a little different; "" takes a part out."""
        page = str(self.page) if self.page > 1 else ""
        whole = {**self.span.query(), **self.filters, "view": self.view, "page": page, **changes}
        return {key: value for key, value in whole.items() if value}

    def spanning(self, span: Span) -> dict[str, str]:
        """What asks for the same jobs at another time."""
        return {**span.query(), **self.filters} | ({"view": self.view} if self.view else {})

    def seek(self, owner: str | None) -> Seek:
        """The jobs that are meant."""
        outcome = self.filters.get("outcome", "")
        return Seek(
            since=self.span.start,
            until=self.span.end,
            owner=owner,
            user=self.filters.get("user", ""),
            partition=self.filters.get("partition", ""),
            outcome=outcome if outcome in set(Outcome) else "",
            words=self.filters.get("q", ""),
        )


def understood(shell: Shell, request: web.Request) -> Asked:
    """What somebody has asked for; nonsense is taken for nothing."""
    query = request.query
    filters = {name: query.get(name, "").strip()[:_LONGEST] for name in _FILTERS}
    return Asked(
        span=read_span(query, shell.now()),
        filters={name: value for name, value in filters.items() if value},
        view="table" if query.get("view") == "table" else "",
        page=min(max(_number(query.get("page"), 1), 1), PAGES),
        width=min(max(_number(query.get("width"), WIDTH), 120), 4000),
    )


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else default


async def page(shell: Shell, request: web.Request) -> web.Response:
    """``GET /``."""
    return shell.answer(request, "workflows.html", **await _content(shell, request))


async def part(shell: Shell, request: web.Request) -> web.Response:
    """``GET /fragments/timeline``: what is fetched again when something has happened."""
    return shell.answer(request, "timeline.html", **await _content(shell, request))


async def _content(shell: Shell, request: web.Request) -> dict[str, Any]:
    asked, database = understood(shell, request), shell.site.database
    found = await find_jobs(database, asked.seek(owner(request)), asked.page)
    told = await told_of(database, [job.id for job in found.jobs])
    now, limits = shell.now(), shell.site.limits()
    shown = [
        lanes.lane(job, told.get(job.id, ()), asked.span, now, asked.width, limits)
        for job in found.jobs
    ]
    return {
        "asked": asked,
        "span": asked.span,
        "named": list(NAMED),
        "groups": lanes.grouped(shown),
        "lanes": shown,
        "counts": {outcome.value: number for outcome, number in lanes.counted(shown).items()},
        "more": found.more,
        "marks": _marks(shown),
    }


def _marks(shown: list[Lane]) -> list[tuple[Lane, lanes.Mark]]:
    return [(each, mark) for each in shown for mark in each.marks]
