"""What goes wrong from outside: when, for how long, and to whom.

The times come from the seed. Two faults of one target wait for each other; everything else may
be broken at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from random import Random

from bench.soak.scene import NODES, Scene
from bench.soak.setback import set_back
from bench.soak.unit import Unit
from labcluster.processes import Daemon, wait_until
from tests.database.proxy import Proxy


class Fault(StrEnum):
    """The kinds, in the words of the report."""

    AJRD_KILLED = "ajrd killed (leader or standby)"
    AJRD_FROZEN = "ajrd frozen (leader or standby)"
    DATABASE_KILLED = "MariaDB killed"
    DATABASE_CUT_OFF = "MariaDB cut off from one ajrd"
    CONTROLLER_KILLED = "slurmctld killed"
    CONTROLLER_RESTARTED = "slurmctld restarted"
    CONTROLLER_FROZEN = "slurmctld frozen"
    NODE_KILLED = "slurmd of a node killed"


#: How often each comes, and the shortest and longest time that it lasts, seconds.
_KINDS: dict[Fault, tuple[int, float, float]] = {
    Fault.AJRD_KILLED: (22, 0, 0),
    Fault.AJRD_FROZEN: (16, 1, 30),
    Fault.DATABASE_KILLED: (8, 1, 90),
    Fault.DATABASE_CUT_OFF: (10, 1, 60),
    Fault.CONTROLLER_KILLED: (4, 0, 10),
    Fault.CONTROLLER_RESTARTED: (8, 0, 10),
    Fault.CONTROLLER_FROZEN: (14, 1, 15),
    Fault.NODE_KILLED: (16, 1, 15),
}
_OF_THE_DATABASE = (Fault.DATABASE_KILLED, Fault.DATABASE_CUT_OFF)
#: Seconds between two faults, on average.
INTERVAL = 10.0
#: How often a fault of ajrd hits the one that leads.
LEADER = 0.7


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, ``at`` so many seconds from the start; ``choice`` (0 to 1) says whom it hits."""

    at: float
    fault: Fault
    seconds: float
    choice: float


def strikes(seed: int, seconds: float, *, mysql: bool) -> list[Strike]:
    """Faults at random moments, all over after ``seconds``."""
    random = Random(f"{seed} faults")  # noqa: S311 -- repeatable, no secret
    kinds = [kind for kind in _KINDS if mysql or kind not in _OF_THE_DATABASE]
    weights = [_KINDS[kind][0] for kind in kinds]
    found, at = [], random.expovariate(1 / INTERVAL)
    while at < seconds:
        fault = random.choices(kinds, weights)[0]
        lasts = min(random.uniform(*_KINDS[fault][1:]), seconds - at)
        found.append(Strike(at, fault, lasts, random.random()))
        at += random.expovariate(1 / INTERVAL)
    return found


class Faults:
    """Injects strikes into a scene; ``counts`` are those that were.

    ``set_back`` are the jobs that a killed controller had not saved as they were.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._units = {unit.name: unit for unit in scene.units}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._starting = asyncio.Lock()
        self.counts: Counter[Fault] = Counter()
        self.set_back: set[str] = set()

    async def inject(self, plan: list[Strike]) -> None:
        """Returns when the last one is over."""
        async with asyncio.TaskGroup() as tasks:
            for strike in plan:
                tasks.create_task(self._at(strike))

    async def _at(self, strike: Strike) -> None:
        await asyncio.sleep(strike.at)
        target = self._target(strike)
        async with self._locks[target]:
            self.counts[strike.fault] += 1
            await self._do(strike.fault, target, strike.seconds)

    def _target(self, strike: Strike) -> str:
        match strike.fault:
            case Fault.AJRD_KILLED | Fault.AJRD_FROZEN:
                return self._service(strike.choice).name
            case Fault.DATABASE_CUT_OFF:
                return f"proxy {self._scene.units.index(self._service(strike.choice))}"
            case Fault.DATABASE_KILLED:
                return "mariadbd"
            case Fault.NODE_KILLED:
                return f"n{1 + int(strike.choice * NODES)}"
        return "slurmctld"

    def _service(self, choice: float) -> Unit:
        units = self._scene.units
        return self._scene.leader() if choice < LEADER else units[int(choice * 100) % len(units)]

    async def _do(self, fault: Fault, target: str, seconds: float) -> None:
        match fault:
            case Fault.AJRD_KILLED:
                self._units[target].tell(signal.SIGKILL)
            case Fault.AJRD_FROZEN:
                await _frozen(self._units[target], seconds)
            case Fault.DATABASE_KILLED:
                await self._database_down(seconds)
            case Fault.DATABASE_CUT_OFF:
                await _stalled(self._scene.proxies[int(target.split()[1])], seconds)
            case Fault.CONTROLLER_FROZEN:
                await _frozen(self._scene.lab.daemon(target), seconds)
            case Fault.CONTROLLER_RESTARTED:
                await self._down(target, signal.SIGTERM, seconds)
            case Fault.CONTROLLER_KILLED:
                before = await self._scene.jobs()
                await self._down(target, signal.SIGKILL, seconds)
                self.set_back |= set_back(before, await self._scene.jobs())
            case Fault.NODE_KILLED:
                await self._down(target, signal.SIGKILL, seconds)

    async def _database_down(self, seconds: float) -> None:
        assert self._scene.schema is not None
        server = self._scene.schema.server
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)

    async def _down(self, name: str, number: signal.Signals, seconds: float) -> None:
        """Ends a daemon of Slurm and starts it again."""
        lab = self._scene.lab
        daemon = lab.daemon(name)
        daemon.tell(number)
        await asyncio.to_thread(wait_until, lambda: not daemon.alive, 60)
        await asyncio.sleep(seconds)
        start = lab.start_controller if name == "slurmctld" else partial(lab.start_node, name)
        async with self._starting:
            await asyncio.to_thread(start)


async def _frozen(process: Unit | Daemon, seconds: float) -> None:
    process.tell(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    process.tell(signal.SIGCONT)


async def _stalled(proxy: Proxy, seconds: float) -> None:
    proxy.stall()
    await asyncio.sleep(seconds)
    proxy.resume()
