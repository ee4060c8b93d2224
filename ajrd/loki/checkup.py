"""Would the service get from Loki what it needs? For ``ajrd loki check`` and the doctor."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ajrd.config import LokiSection
from ajrd.detect.catalogue import Catalogue
from ajrd.loki.client import Loki
from ajrd.loki.entries import Entry, Reader
from ajrd.loki.health import Health
from ajrd.loki.logql import filters_of
from ajrd.loki.questions import Question, Selection
from ajrd.loki.watch import access_of, labels_of
from ajrd.text import printable

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest lines of a selector: how old (s), and by which labels they can be told apart.

    ``named`` counts lines by the label that names their job or node, "" for none; ``example`` are
    the labels of one stream.
    """

    selector: str
    age: float
    named: Counter[str]
    example: str

    @property
    def lines(self) -> int:
        """How many were looked at."""
        return self.named.total()

    @property
    def useful(self) -> bool:
        """Can any line be told to be somebody's?"""
        return bool(set(self.named) - {""})


def questions_of(section: LokiSection, rules_dirs: Iterable[str]) -> list[Question]:
    """All queries of the service."""
    filters = filters_of(Catalogue.load(tuple(rules_dirs)))
    return Selection(section.jobs, section.nodes, section.query_length).questions(filters, ())


def client_of(section: LokiSection, tenant: str) -> Loki:
    """Loki as a tenant sees it; to be closed."""
    return Loki(access_of(section), tenant, Reader(labels_of(section).names), Health(tenant))


async def newest(client: Loki, section: LokiSection, selector: str, minutes: int) -> Seen:
    """The last lines of a selector; raises LokiUnavailable."""
    end = time.time_ns()
    start = end - minutes * 60 * SECOND
    found = await client.query(selector, start, end, 100, forward=False)
    if not found:
        return Seen(selector, 0.0, Counter(), "")
    named = _naming(section, selector, found)
    return Seen(selector, (end - found[0].ns) / SECOND, named, found[0].stream.short)


def _naming(section: LokiSection, selector: str, entries: list[Entry]) -> Counter[str]:
    """By which labels entries can be told to be somebody's."""
    names = section.labels
    wanted = names.node if selector in section.nodes else (*names.job, *names.file)
    return Counter(
        printable(next((name for name in wanted if entry.stream.labels.get(name)), ""))
        for entry in entries
    )


async def tried(client: Loki, questions: list[Question], minutes: int) -> Counter[str]:
    """Every query of the service once, so that a refusal shows: how many lines of what."""
    end = time.time_ns()
    counts: Counter[str] = Counter()
    for question in questions:
        start = end - minutes * 60 * SECOND
        counts[question.what.value] += len(await client.query(question.logql, start, end, 1000))
    return counts
