"""Which nodes of an attempt a verdict implicates: names in logs against Slurm's node list."""

from __future__ import annotations

from collections.abc import Iterable

from ClusterShell.NodeSet import NodeSet, NodeSetException


def suspects(names: Iterable[str], node_list: str) -> tuple[str, ...]:
    """The members of ``node_list`` that ``names`` mean, by full or by short host name.

    Names that are no node of the attempt are dropped (a head node, generated text), and so is
    a suspicion that would leave no node of the attempt: then it was not the node.
    """
    members = _expand(node_list)
    wanted = {name.split(".", 1)[0].lower() for name in names}
    found = tuple(node for node in members if node.split(".", 1)[0].lower() in wanted)
    return () if len(found) == len(members) > 1 else found


def _expand(node_list: str) -> tuple[str, ...]:
    try:
        return tuple(NodeSet(node_list))
    except NodeSetException:
        return ()
