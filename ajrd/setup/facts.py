"""What is found on the host before anything is asked or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SlurmFacts:
    """Slurm, as it answers: ``settings`` are those of ``scontrol show config``.

    ``accounting``: slurmdbd answers and knows this cluster. ``here``: slurmctld runs on this host.
    """

    version: str
    cluster: str
    conf: str
    user: str
    partitions: tuple[str, ...]
    accounting: bool
    here: bool
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """This host.

    ``program`` is the path by which ajrd is started; ``mysql_socket`` that of a server that runs
    here, "" if there is none.
    """

    hostname: str
    program: str
    slurm: SlurmFacts
    mysql_socket: str = ""
