"""Chooses the way to talk to Slurm: pyslurm where it fits the controller, else the commands."""

from __future__ import annotations

from ajrd.errors import ConfigError, SlurmUnavailable
from ajrd.slurm.base import Slurm
from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.het import HetSlurm
from ajrd.slurm.native import PyslurmSlurm, native_available


async def connect(
    conf: str | None = None,
    bin_dir: str | None = None,
    timeout: float = 10.0,
    prefer: str = "auto",
) -> Slurm:
    """A Slurm to work with, in which a het job is one job; arguments and errors as in choose()."""
    chosen = await choose(conf, bin_dir, timeout, prefer)
    return HetSlurm(chosen, CliSlurm(conf, bin_dir, timeout))


async def choose(
    conf: str | None = None,
    bin_dir: str | None = None,
    timeout: float = 10.0,
    prefer: str = "auto",
) -> Slurm:
    """The way to talk to Slurm; ``prefer`` is ``auto``, ``cli`` or ``pyslurm``.

    With ``auto`` a controller that cannot be reached gets the commands, which do not mind when
    it comes back. Raises ConfigError if pyslurm is asked for and cannot be used, and
    SlurmUnavailable if that cannot be told because the controller does not answer.
    """
    cli = CliSlurm(conf, bin_dir, timeout)
    if prefer == "cli":
        return cli
    if prefer not in ("auto", "pyslurm"):
        raise ConfigError(f"slurm.backend: {prefer!r} is none of auto, cli, pyslurm")
    try:
        version = (await cli.cluster()).version
    except SlurmUnavailable:
        if prefer == "pyslurm":
            raise
        return cli
    obstacle = await native_available(version, conf)
    if obstacle is None:
        await cli.close()
        return PyslurmSlurm(conf, timeout, bin_dir)
    if prefer == "pyslurm":
        raise ConfigError(f"slurm.backend: pyslurm cannot be used: {obstacle}")
    return cli
