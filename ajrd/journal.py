"""The service's own log: one structured event a decision or state change, on standard error."""

from __future__ import annotations

import logging
import sys
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from ajrd.config import LogFormat, LoggingSection
from ajrd.priority import priority
from ajrd.text import printable

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

#: Messages that are remembered, and characters of each.
MOST, LONGEST = 100, 400
#: The levels from which on they are.
GRAVE = ("warning", "error", "critical")
_ASIDE = frozenset({"event", "level", "timestamp", "why", "exc_info", "exception"})


@dataclass(frozen=True, slots=True)
class Said:
    """One message; ``message`` is printable and bounded."""

    at: datetime
    level: str
    event: str
    message: str


class Recent:
    """A structlog processor that remembers the newest warnings and errors, and counts all."""

    def __init__(self) -> None:
        self.messages: deque[Said] = deque(maxlen=MOST)
        self.count = Counter[str]()

    def __call__(self, _logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """Passes on what it was given."""
        if level in GRAVE:
            self.count[level] += 1
            what = printable(str(event.get("event", "")))[:LONGEST]
            self.messages.append(Said(datetime.now(UTC), level, what, _message(event)))
        return event


def _message(event: EventDict) -> str:
    facts = ", ".join(f"{key}={value}" for key, value in event.items() if key not in _ASIDE)
    why = str(event.get("why", ""))[:LONGEST]
    return printable(f"{why} ({facts[:LONGEST]})" if why and facts else why or facts)[:LONGEST]


def _with_priority(_logger: WrappedLogger, level: str, line: Any) -> str:
    """The last processor; ``exception`` logs an error."""
    return f"{priority('error' if level == 'exception' else level)}{line}"


def configure(section: LoggingSection, recent: Recent | None = None) -> None:
    """Readable lines on a terminal, JSON lines under systemd or in a file.

    ``recent`` remembers what is grave, as far as the level lets it be said.
    """
    text = section.format is LogFormat.TEXT
    if section.format is LogFormat.AUTO:
        text = sys.stderr.isatty()
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([recent] if recent else []),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
            _with_priority,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[section.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
