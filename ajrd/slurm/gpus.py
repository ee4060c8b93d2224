"""How many GPUs an allocation has, from whatever of it Slurm counts. Pure.

Slurm counts GPUs among an allocation's TRES only where ``AccountingStorageTRES`` names
``gres/gpu``, and then it refuses to start without slurmdbd (seen on 22.05 and 25.11). Elsewhere the
request tells, or, in JSON, the list of what each node gave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_REQUEST = re.compile(r"(?:^|,)(?:gres[:/])?gpu(?:[:/](?!\d+(?:,|$))[^:,=]+)?(?:[:=](\d+))?(?=,|$)")
_DETAIL = re.compile(r"(?:^|,)gpu(?::[^:,(]+)*?:(\d+)(?=\(|,|$)")


def count_in(tres: str, kind: str) -> int:
    """How many of a kind an allocation has: ``cpu=8,mem=1G,node=2,gres/gpu=4,gres/gpu:h100=4``.

    Where only typed ones are listed (AccountingStorageTRES), these are added up.
    """
    whole, typed = 0, 0
    for part in tres.split(","):
        name, _, value = part.partition("=")
        if not value.isdigit():
            continue
        if name == kind:
            whole = int(value)
        elif name.startswith(f"{kind}:"):
            typed += int(value)
    return whole or typed


def requested(tres: str) -> int:
    """The GPUs of a request: ``gres:gpu:2``, ``gres:gpu:h100:1,gres:shard:2``, ``gres/gpu:2``."""
    return sum(int(number or 1) for number in _REQUEST.findall(tres))


def by_request(*, job: str, node: str, task: str, nodes: int, tasks: int) -> int:
    """What a request comes to, by its forms for a job, a node and a task."""
    return requested(job) or requested(node) * nodes or requested(task) * tasks


def in_details(details: Iterable[str]) -> int:
    """The GPUs that each node gave: ``gpu:h100:2(IDX:0-1)``, one text a node."""
    return sum(int(number) for each in details for number in _DETAIL.findall(str(each)))
