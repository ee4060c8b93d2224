"""The hand-off of nodes: does the hardware service answer, may nodes be drained, does it go on?

No node is reported and none is drained.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from ajrd.asides import plan_of
from ajrd.config import HARDWARE_TOKEN, Config, HardwareApiSection, Mode
from ajrd.doctor.check import QUESTION, Check, Finding, Group, Look, NotAsked, fail, ok, warn
from ajrd.doctor.database import seen
from ajrd.doctor.slurm import Rights, answer, entitled, rights
from ajrd.doctor.tools import address_of, given, in_thread, secret_of
from ajrd.doctor.webhooks import LATE, MOST, PATIENCE, RECENT, in_clear, patient
from ajrd.errors import RemoteUnavailable
from ajrd.hardware.api import place_of
from ajrd.hardware.checkup import DENIED, tried
from ajrd.hardware.drain import never
from ajrd.reach import reached
from ajrd.slurm.nodes import NodeInfo, SlurmNodes
from ajrd.store import handoffs
from ajrd.store.driver import Connection, connect
from ajrd.store.handoffs import ReportState, suspect


def _section(look: Look) -> HardwareApiSection:
    section = look.config.hardware.api
    if not section.url:
        raise NotAsked("hardware.api.url is not set")
    return section


@dataclass(frozen=True, slots=True)
class Service:
    """What can be told of it; ``denied``: it wants a token, and that cannot be seen from here."""

    said: str
    denied: bool = False


async def service(look: Look) -> Service:
    """As the running service would ask it; raises RemoteUnavailable."""
    section = _section(look)
    token = section.token_file or await in_thread(lambda: given(HARDWARE_TOKEN))
    known = {"timeout": min(section.timeout, PATIENCE), "token_file": token}
    try:
        return Service(await tried(section.model_copy(update=known)))
    except RemoteUnavailable as error:
        if error.status not in DENIED or secret_of(token, HARDWARE_TOKEN, "") is not None:
            raise
        return Service(str(error), denied=True)


def judge_service(found: Service, config: Config) -> Finding:
    """It answers, proves who it is, takes the token; texts go over no network in clear."""
    if found.denied:
        said = f"{found.said} (only the running service can see its credentials)"
        return warn(said, "systemctl start ajrd")
    if in_clear(config.hardware.api.url or ""):
        said = f"{found.said}; anybody on the way may read what it is told, and the token"
        return warn(said, "ajrd config check  # change hardware.api.url to https")
    return ok(found.said)


async def verdicts(look: Look) -> str:
    """Connects to the host that is asked for verdicts; raises RemoteUnavailable."""
    section = _section(look)
    if not section.verdict_url:
        raise NotAsked("hardware.api.verdict_url is not set: an answer to a report may hold one")
    place = place_of(section.tls.files(), section.timeout)
    return await reached(patient(place), section.verdict_url)


def judge_verdicts(found: str, config: Config) -> Finding:
    """Its host is there, and it is asked for one node or report, not for all alike."""
    api = config.hardware.api
    if not re.search(r"\{(reference|node|key)\}", api.verdict_url or ""):
        said = "hardware.api.verdict_url holds neither {reference} nor {node}: one verdict for all"
        return warn(said, "ajrd config check")
    return ok(f"{found}, every {api.poll:g} s")


@dataclass(frozen=True, slots=True)
class Reports:
    """Nodes that wait to be reported, the oldest for ``waits`` (s); ``told`` wait for a verdict.

    ``lost`` were given up, each with its reason.
    """

    untold: tuple[str, ...]
    waits: float
    told: int
    lost: tuple[tuple[str, str], ...]


async def reports(look: Look) -> Reports:
    """What the store says."""
    section = _section(look)
    await seen(look)
    address = address_of(look)
    return await in_thread(lambda: _read(connect(address), section))


def _read(db: Connection, section: HardwareApiSection) -> Reports:
    with closing(db):
        if "node_handoffs" not in db.tables():
            raise NotAsked("not looked at: the database has no tables of this ajrd")
        now = db.now()
        since = now - timedelta(seconds=section.give_up_after)
        rows = db.all(handoffs.unfinished(since, MOST, drain=False, report=True))
        lost = db.all(handoffs.unreported(now - RECENT, MOST))
    found = [suspect(row) for row in rows]
    untold = [each for each in found if not each.report and each.kind in section.kinds]
    return Reports(
        untold=tuple(each.node for each in untold),
        waits=max(((now - each.at).total_seconds() for each in untold), default=0.0),
        told=sum(each.report is ReportState.TOLD for each in found),
        lost=tuple((row["node"], row["report_note"]) for row in lost),
    )


def judge_reports(found: Reports, _config: Config) -> Finding:
    """A suspected node is reported within a quarter of an hour, and none was given up for a day."""
    log = "journalctl -u ajrd -n 1000 | grep hardware_"
    if found.waits > LATE.total_seconds():
        said = f"{found.untold[0]} has waited for {found.waits / 60:.0f} min to be reported"
        return fail(said, log)
    if found.lost:
        node, why = found.lost[0]
        said = f"reports given up in a day: {len(found.lost)}, the last of {node}"
        return replace(warn(said, "ajrd events --limit 1000"), detail=why[:300])
    return ok(f"{len(found.untold)} nodes wait to be reported, {found.told} for a verdict")


def _drains(look: Look) -> None:
    if not look.config.hardware.drain.enabled:
        raise NotAsked("hardware.drain.enabled is false")


async def drain_rights(look: Look) -> Rights:
    """As of the check of rights on jobs."""
    _drains(look)
    return await look.once(rights)


def judge_drain_rights(found: Rights, config: Config) -> Finding:
    """root, SlurmUser and administrators may, operators may not; in mode observe nobody does."""
    if config.recovery.mode is not Mode.ACT:
        return ok("mode observe: no node is drained")
    return entitled(found, "drain nodes", "Administrator")


async def nodes(look: Look) -> tuple[NodeInfo, ...]:
    """All nodes."""
    _drains(look)
    await answer(look)
    section = look.config.slurm
    slurm = SlurmNodes(section.conf, section.bin_dir, min(section.timeout, QUESTION))
    return tuple(await slurm.nodes())


def judge_budget(found: tuple[NodeInfo, ...], config: Config) -> Finding:
    """Of each partition at least one node may be drained, and not all that may be are."""
    limits = plan_of(config.hardware).drain
    assert limits is not None
    wanted = set(config.recovery.partitions)
    ours = [each for each in found if not wanted or wanted & set(each.partitions)]
    shut = {name: why for name, why in never(found, limits).items()
            if any(name in each.partitions for each in ours)}  # fmt: skip
    if shut:
        said = f"no node of {', '.join(shut)} is ever drained: {next(iter(shut.values()))}"
        return warn(said[:500], "ajrd config check  # change hardware.drain")
    drained = sum(each.drained_by_ajrd for each in found)
    said = f"{drained} nodes are drained by ajrd, of {limits.max_nodes} that may be"
    return warn(f"{said}: no other one is", "sinfo -R") if drained >= limits.max_nodes else ok(said)


_G, _CHECK = Group.OUTWARD, "ajrd config check"
CHECKS: tuple[Check[Any], ...] = (
    Check("hardware-api", _G, "does the hardware service answer; GET, no report", service,
          judge_service, _CHECK),
    Check("hardware-verdict", _G, "hardware.api.verdict_url", verdicts, judge_verdicts, _CHECK),
    Check("hardware-reports", _G, "is a report stuck, were some given up", reports, judge_reports,
          "ajrd db check"),
    Check("drain-rights", _G, "may the service drain nodes", drain_rights, judge_drain_rights,
          "scontrol ping"),
    Check("drain-budget", _G, "the budget against the partitions", nodes, judge_budget,
          "scontrol ping"),
)  # fmt: skip
