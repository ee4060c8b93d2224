"""One message of a hook, as slurm/hooks writes it. Pure; whatever else stands there is no message.

A line ``ajrd-hook 1``, lines ``key=value``, an empty line, and then lines of a kernel's log, each
with the seconds since 1970 before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

#: Bytes of a message that are looked at, and kernel lines of it that are believed.
LONGEST, MOST_LINES = 128 * 1024, 200
_LINE_LENGTH = 1000
_HEAD = "ajrd-hook 1"
_NODE = re.compile(r"[A-Za-z0-9._-]{0,255}", re.ASCII)
_EXIT = re.compile(r"[0-9:]{0,20}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_KERNEL_LINE = re.compile(r"([0-9]{9,11}(?:\.[0-9]{1,9})?) (.+)", re.ASCII)


class Event(StrEnum):
    """What has happened: the job starts, has ended, has ended on a node, a kernel has spoken."""

    START = "start"
    END = "end"
    NODE_END = "node_end"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class KernelLine:
    """``at`` is in seconds since 1970 by the node's clock."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """``job`` is Slurm's raw number; ``restart`` None: Slurm did not tell it to the hook."""

    event: Event
    job: str
    restart: int | None = None
    exit_code: str = ""
    node: str = ""
    lines: tuple[KernelLine, ...] = ()


def parse(data: bytes) -> Message | None:
    """The message in a file; None for rubbish."""
    head, _, rest = data[:LONGEST].decode("utf-8", "replace").partition("\n\n")
    first, *pairs = head.split("\n")
    values = dict(pair.partition("=")[::2] for pair in pairs)
    event, job, restart = (values.get(key, "") for key in ("event", "job", "restart"))
    node, exit_code = values.get("node", ""), values.get("exit", "")
    well_formed = (
        first == _HEAD
        and event in set(Event)
        and _NUMBER.fullmatch(job)
        and (not restart or _NUMBER.fullmatch(restart))
        and _NODE.fullmatch(node)
        and _EXIT.fullmatch(exit_code)
    )
    if not well_formed:
        return None
    lines = tuple(_kernel_lines(rest))[-MOST_LINES:]
    return Message(
        Event(event), str(int(job)), int(restart) if restart else None, exit_code, node, lines
    )


def _kernel_lines(text: str) -> Iterator[KernelLine]:
    for line in text.split("\n"):
        match = _KERNEL_LINE.fullmatch(line[:_LINE_LENGTH])
        if match and math.isfinite(at := float(match[1])):
            yield KernelLine(at, match[2])
