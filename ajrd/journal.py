"""The service's own log: one structured event a decision or state change, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from ajrd.config import LogFormat, LoggingSection

if TYPE_CHECKING:
    from structlog.typing import Processor


def configure(section: LoggingSection) -> None:
    """Readable lines on a terminal, JSON lines under systemd or in a file."""
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
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[section.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
