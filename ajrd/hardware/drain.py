"""May a node be drained, now or ever? Pure; the table in :func:`judge` is read from the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from ajrd.slurm.nodes import NodeInfo, is_node


class Answer(StrEnum):
    """NEVER is final for one suspicion; LATER is asked again."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What ajrd may take out of work: nodes, a share of each partition, one in ``cool_down`` (s).

    A suspicion older than ``fresh`` (s) drains nothing. ``keep_nodes`` usable nodes stay in every
    partition, at least one.
    """

    kinds: frozenset[str]
    max_nodes: int
    max_share: float
    keep_nodes: int
    cool_down: float
    fresh: float


def judge(
    node: str,
    kind: str,
    nodes: Sequence[NodeInfo],
    limits: Limits,
    last: datetime | None,
    now: datetime,
) -> tuple[Answer, str]:
    """The answer and its reason; ``last`` is when ajrd drained a node before."""
    if kind not in limits.kinds:
        return Answer.NEVER, f"{kind} is not among hardware.drain.kinds"
    if not is_node(node):
        return Answer.NEVER, "it is no plain name of a node"
    own = next((each for each in nodes if each.name == node), None)
    if own is None:
        return Answer.NEVER, "Slurm knows no such node"
    if own.drained:
        return Answer.NEVER, f"it is drained already: {own.reason}"
    if not own.usable:
        return Answer.LATER, f"it is {'+'.join(sorted(own.state))} anyway"
    ours = sum(each.drained_by_ajrd for each in nodes)
    if ours >= limits.max_nodes:
        return Answer.LATER, f"{ours} nodes are drained by ajrd (hardware.drain.max_nodes)"
    for partition in own.partitions:
        if why := _too_many(partition, nodes, limits):
            return Answer.LATER, why
    if last is not None and (now - last).total_seconds() < limits.cool_down:
        return Answer.LATER, "another node was drained a short time ago (hardware.drain.cool_down)"
    return Answer.NOW, ""


def never(nodes: Sequence[NodeInfo], limits: Limits) -> dict[str, str]:
    """The partitions of which no node could be drained even if all of them were well, and why."""
    well = [replace(each, state=frozenset({"idle"}), reason="") for each in nodes]
    partitions = sorted({partition for each in nodes for partition in each.partitions})
    found = ((partition, _too_many(partition, well, limits)) for partition in partitions)
    return {partition: why for partition, why in found if why}


def _too_many(partition: str, nodes: Sequence[NodeInfo], limits: Limits) -> str:
    members = [each for each in nodes if partition in each.partitions]
    ours = sum(each.drained_by_ajrd for each in members)
    if ours + 1 > limits.max_share * len(members):
        return (
            f"{ours + 1} of {len(members)} nodes of {partition} would be drained by ajrd"
            " (hardware.drain.max_share)"
        )
    left = sum(each.usable for each in members) - 1
    if left < max(limits.keep_nodes, 1):
        return f"{left} usable nodes would be left in {partition} (hardware.drain.keep_nodes)"
    return ""
