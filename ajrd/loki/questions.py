"""What Loki is asked: the selectors of the site with the filters of the catalogue. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ajrd.loki.listen import What
from ajrd.loki.logql import Filters, narrowed, queries


@dataclass(frozen=True, slots=True)
class Question:
    """One query, and what it is about. ``own`` if it holds patterns of owners of jobs."""

    what: What
    logql: str
    own: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """The site's selectors; no query becomes longer than ``longest`` characters."""

    jobs: tuple[str, ...]
    nodes: tuple[str, ...]
    longest: int

    def questions(self, filters: Filters, owned: Iterable[str]) -> list[Question]:
        """All of them; ``owned`` are the forms of progress that owners have named."""
        own = tuple(f"(?i:{pattern})" for pattern in sorted(owned))
        return [
            *self._each(What.JOBS, self.jobs, filters.suspicious),
            *self._each(What.PROGRESS, self.jobs, filters.progress),
            *self._each(What.PROGRESS, self.jobs, own, own=True),
            *self._each(What.NODES, self.nodes, filters.nodes),
        ]

    def _each(
        self,
        what: What,
        selectors: tuple[str, ...],
        alternatives: tuple[str, ...],
        *,
        own: bool = False,
    ) -> Iterator[Question]:
        for selector in selectors:
            for logql in queries(selector, alternatives, self.longest):
                yield Question(what, logql, own)

    def progress_of(self, label: str, value: str, filters: Filters) -> list[str]:
        """The progress of the job that a label names."""
        return [
            logql
            for selector in self.jobs
            for logql in queries(narrowed(selector, label, value), filters.progress, self.longest)
        ]

    def lines_of(self, label: str, value: str) -> list[str]:
        """All lines of the job that a label names."""
        return [narrowed(selector, label, value) for selector in self.jobs]
