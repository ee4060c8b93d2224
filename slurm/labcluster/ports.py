"""Free TCP ports for one lab, below the range from which the kernel serves outgoing connections."""

from __future__ import annotations

import random
import socket

from labcluster.errors import LabError

_LOWEST, _HIGHEST = 12000, 30000
_TRIES = 200


def free_block(count: int) -> int:
    """The first of ``count`` consecutive ports on which nothing listens at this moment."""
    for _ in range(_TRIES):
        first = random.randrange(_LOWEST, _HIGHEST - count)  # noqa: S311 -- no secret
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise LabError(f"no {count} consecutive free ports between {_LOWEST} and {_HIGHEST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """True if something accepts connections on this host."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
