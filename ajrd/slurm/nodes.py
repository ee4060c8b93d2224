"""What Slurm says of nodes, and draining one: ``sinfo`` and ``scontrol update``.

A node's name becomes an argument in which ``ALL`` and ``n[1-99]`` mean many nodes
(``scontrol(1)``), so only a plain name is ever passed on. Reasons are text that people write: the
listing is read with a separator that is random for each call.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.slurm.base import Refusal
from ajrd.slurm.process import environment, run
from ajrd.slurm.refusals import as_error
from ajrd.text import printable

#: How a reason begins that ajrd gives.
OURS = "ajrd: "
#: Characters of the longest reason.
LONGEST = 160
#: Of one node in one partition.
_FIELDS = ("NodeList", "PartitionName", "StateComplete", "Reason")
_NAME = re.compile(r"(?!(?i:all)\Z)[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
#: Base states (``sinfo -O StateComplete``) in which a node can have jobs.
_USABLE = frozenset({"idle", "allocated", "mixed"})
#: Flags beside them with which it gets none.
_UNUSABLE = frozenset({
    "drain", "fail", "maintenance", "not_responding", "powering_down", "powered_down", "power_down",
    "reboot_issued", "invalid_reg",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node: its partitions, the words of its state (``idle``, ``drain``), why it is so."""

    name: str
    partitions: tuple[str, ...]
    state: frozenset[str]
    reason: str

    @property
    def usable(self) -> bool:
        """Can jobs start on it?"""
        return bool(self.state & _USABLE) and not self.state & _UNUSABLE

    @property
    def drained(self) -> bool:
        """Is it drained, or being drained?"""
        return "drain" in self.state

    @property
    def drained_by_ajrd(self) -> bool:
        """Did ajrd drain it, and nobody give another reason since?"""
        return self.drained and self.reason.startswith(OURS)


def is_node(name: str) -> bool:
    """Is it the plain name of one node?"""
    return _NAME.fullmatch(name) is not None


def reason(text: str) -> str:
    """``text`` as a reason of ajrd's: one line of plain characters, not too long."""
    plain = printable(text).encode("ascii", "replace").decode()
    return f"{OURS}{re.sub(r'[^ -~]', '?', plain)}"[:LONGEST]


class SlurmNodes:
    """Nodes of one cluster. ``conf``, ``bin_dir``, ``timeout`` as of the other commands."""

    def __init__(
        self, conf: str | None = None, bin_dir: str | None = None, timeout: float = 10.0
    ) -> None:
        self._bin_dir = bin_dir
        self._env = environment(os.environ, conf)
        self._timeout = timeout

    async def nodes(self) -> list[NodeInfo]:
        """Every node that is in a partition; raises SlurmUnavailable."""
        sep = f"<{secrets.token_hex(12)}>"
        form = ",".join(f"{name}:{sep}" for name in _FIELDS)
        listing = await self._run("sinfo", "--all", "--noheader", "--Node", "-O", form)
        try:
            return _nodes(listing, sep)
        except ValueError as error:
            raise SlurmUnavailable(
                f"sinfo gave an answer that ajrd cannot read: {error}"
            ) from error

    async def drain(self, node: str, why: str) -> None:
        """Lets no new job start on a node; raises SlurmRejected or SlurmUnavailable."""
        if not is_node(node):
            raise SlurmRejected(f"{node!r} is no name of a node", Refusal.INVALID)
        await self._run(
            "scontrol", "update", f"NodeName={node}", "State=DRAIN", f"Reason={reason(why)}"
        )

    async def _run(self, *argv: str) -> str:
        command = os.path.join(self._bin_dir, argv[0]) if self._bin_dir else argv[0]
        done = await run((command, *argv[1:]), self._env, self._timeout)
        if done.code:
            error = as_error(" ".join(argv[:3])[:120], done.err or done.out)
            raise error if argv[0] == "scontrol" else SlurmUnavailable(str(error))
        return done.out


def _nodes(listing: str, sep: str) -> list[NodeInfo]:
    """One record a node and partition."""
    seen: dict[str, tuple[frozenset[str], str]] = {}
    partitions: dict[str, list[str]] = {}
    for name, partition, state, why in _records(listing, sep):
        seen[name] = frozenset(re.findall(r"[a-z_]+", state.lower())), why
        partitions.setdefault(name, []).append(partition)
    return [NodeInfo(name, tuple(sorted(partitions[name])), *seen[name]) for name in seen]


def _records(listing: str, sep: str) -> list[list[str]]:
    """The fields between separators."""
    size = len(_FIELDS)
    fields = [field.strip() for field in listing.split(sep)]
    if len(fields) % size != 1:
        raise ValueError(f"{len(fields) - 1} fields are no records of {size}")
    return [fields[i : i + size] for i in range(0, len(fields) - 1, size)]
