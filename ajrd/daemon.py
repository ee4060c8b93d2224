"""The service: builds the parts, runs them in one TaskGroup, and ends them in order.

This is the only module that knows every part. SIGTERM and SIGINT stop the service, SIGHUP or a
changed file reloads configuration and rules: a bad file is refused and what was stays.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TextIO

import structlog
from watchfiles import awatch

from ajrd import asides, journal
from ajrd.clock import SteadyClock
from ajrd.config import Config, load
from ajrd.errors import AjrdError, ConfigError, NotLeader, StoreUnavailable, WebUnavailable
from ajrd.judgement import Judgement
from ajrd.logs.asowner import keep_rights_from_children
from ajrd.logwatch import LogWatch
from ajrd.manylogs import ManyLogs, Watch
from ajrd.policy.directive import Limits
from ajrd.policy.nodes import Known
from ajrd.recovery.accounting import Accounting
from ajrd.recovery.bookkeeping import Bookkeeping
from ajrd.recovery.leadership import Leadership, this_process
from ajrd.recovery.loop import Recovery
from ajrd.recovery.settings import no_checkpoint
from ajrd.sdnotify import Notify
from ajrd.settings import (
    lease_seconds,
    limits_of,
    owners_of,
    recovery_settings,
    sacct,
    sqlite_path,
)
from ajrd.slurm.base import Slurm
from ajrd.slurm.select import connect
from ajrd.store.engine import Database
from ajrd.store.store import Store
from ajrd.supervision import Supervision
from ajrd.vitals.store import MeteredStore
from ajrd.vitals.vitals import Vitals

log = structlog.get_logger("ajrd")

#: Names a checkpoint at which a fault test wants the service to die, as `kill -9` would do it.
FAULT_VARIABLE = "AJRD_TEST_KILL_AT"
#: Names some, with commas, at which it is to freeze, once at each, until the test wakes it.
STOP_VARIABLE = "AJRD_TEST_STOP_AT"
#: Sections that are taken up at a start alone.
_FIXED = ("slurm", "database", "logs", "hooks", "loki", "web", "hardware", "notify")
#: How often configuration and rules are looked at, milliseconds.
_LOOK_EVERY = 2000
#: Seconds after which work for reports begins anew that has failed in an unforeseen way.
_ASIDE_AGAIN = 60.0
#: Seconds between two tries to take a place for pages and API that is not to be had.
_WEB_AGAIN = 5.0


def run_service(path: Path) -> None:
    """Runs until a signal; raises :class:`~ajrd.errors.AjrdError` if it cannot start."""
    keep_rights_from_children()
    service = Service(path, load(path))
    try:
        asyncio.run(service.run())
    except* AjrdError as group:
        raise _first(group) from None


class Service:
    """One running ajrd."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path = path
        self._config = config
        self._seen = _stamp(path, config.rules_dirs)
        self._stop = asyncio.Event()
        self._clock = SteadyClock()
        self._checkpoint = _checkpoint()
        self._judgement: Judgement
        self._recovery: Recovery | None = None
        self._why_no_web = ""
        self._vitals = Vitals(config, self._clock)
        self._notify = Notify.of(os.environ)
        self._supervision = Supervision(self._notify, self._vitals.parts)

    async def run(self) -> None:
        """Builds the parts in the order of their dependence and lets them go in reverse."""
        config = self._config
        journal.configure(config.logging, self._vitals.recent)
        async with AsyncExitStack() as stack:
            embedded = sqlite_path(config)
            if embedded is not None:
                stack.enter_context(_only_one(embedded))
            self._judgement = Judgement(config.rules_dirs)
            address = config.database.address()
            store = await MeteredStore.open(address, self._checkpoint)
            stack.push_async_callback(store.close)
            connected = await connect(
                conf=config.slurm.conf,
                bin_dir=config.slurm.bin_dir,
                timeout=config.slurm.timeout,
                prefer=config.slurm.backend.value,
            )
            stack.push_async_callback(connected.close)
            slurm = self._vitals.watch(store, connected, self._judgement)
            if config.web.socket or config.web.listen:
                self._why_no_web = await self._try_web(stack)
            await self._serve(store, slurm, alone=embedded is not None)
        log.info("stopped")

    async def _try_web(self, stack: AsyncExitStack, before: str = "") -> str:
        """As :meth:`_open_web`; why it cannot be, "" if it can.

        Any user may listen on a port, and an address may be another host's at the moment: that is
        no reason to recover no jobs.
        """
        try:
            await self._open_web(stack)
        except WebUnavailable as error:
            if str(error) != before:
                log.error("web_unavailable", why=str(error))
            return str(error)
        return ""

    async def _web_later(self) -> None:
        """Serves pages and API once their place is free; until cancelled."""
        while self._why_no_web:
            await asyncio.sleep(_WEB_AGAIN)
            async with AsyncExitStack() as stack:
                self._why_no_web = await self._try_web(stack, self._why_no_web)
                if not self._why_no_web:
                    await asyncio.Event().wait()

    async def _open_web(self, stack: AsyncExitStack) -> None:
        """Serves pages and API until the stack ends, with connections of their own."""
        from ajrd.vitals.view import View
        from ajrd.web.serve import application, serving
        from ajrd.web.site import Site

        config, vitals = self._config, self._vitals
        database = Database(config.database.address())
        stack.push_async_callback(database.close)
        view, efficiency = View(vitals.parts), config.efficiency
        site = Site(
            database, config.web, efficiency, view, self._clock, vitals.registry, self._limits
        )
        await stack.enter_async_context(serving(site, application(site)))

    def _limits(self) -> Limits:
        return limits_of(self._config)

    async def _serve(self, store: Store, slurm: Slurm, *, alone: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        reload = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        leadership = Leadership(
            store,
            this_process(),
            socket.gethostname(),
            lease_seconds(self._config),
            self._config.slurm.timeout,
        )
        self._vitals.parts.leadership = leadership
        async with asyncio.TaskGroup() as tasks:
            parts = [
                tasks.create_task(self._supervision.run(), name="supervision"),
                tasks.create_task(self._vitals.run(), name="vitals"),
                tasks.create_task(self._reload_on(reload), name="reload"),
                tasks.create_task(self._changes(reload), name="changes"),
                tasks.create_task(self._web_later(), name="web"),
                tasks.create_task(self._turns(leadership, store, slurm, alone), name="turns"),
            ]
            await self._stop.wait()
            self._notify.stopping()
            log.info("stopping")
            for part in reversed(parts):
                part.cancel()

    async def _turns(self, leadership: Leadership, store: Store, slurm: Slurm, alone: bool) -> None:
        """Waits for the lease, leads until it is lost, and waits again."""
        try:
            leads = await leadership.attempt(steal=alone)
            self._say_started("leader" if leads else "standby")
            while True:
                if not leads:
                    self._notify.ready()
                    await leadership.wait()
                await self._lead(leadership, store, slurm)
                leads = False
        finally:
            await leadership.release()

    def _say_started(self, role: str) -> None:
        mode, rules = self._config.recovery.mode.value, self._judgement.digest[:12]
        log.info("started", role=role, mode=mode, rules=rules, pid=os.getpid())

    async def _lead(self, leadership: Leadership, store: Store, slurm: Slurm) -> None:
        """Runs the parts that act, until cancelled or replaced by another ajrd."""
        watches = self._watches(store, slurm)
        logs = ManyLogs(watches)
        settings = recovery_settings(self._config)
        outward = store, leadership, self._clock, self._checkpoint
        handoff = asides.handoff(lambda: self._config, *outward)
        recovery = self._recovery = Recovery(
            slurm,
            store,
            logs,
            self._judgement,
            settings,
            self._clock,
            leadership,
            self._checkpoint,
            (lambda: handoff.known) if handoff else Known,
        )
        logs.tell(recovery.learn, recovery.hear)
        books = Bookkeeping(store, self._manual_baseline, self._clock)
        accounting = Accounting(sacct(self._config.slurm), store, books, self._clock)
        senders = list(asides.senders(self._config, *outward))
        self._vitals.leads(recovery, [*watches, *asides.healths(handoff, senders)])
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._supervision.ready_when_looked(), name="ready")
                tasks.create_task(_aside(books.run), name="efficiency")
                tasks.create_task(_aside(accounting.run), name="accounting")
                if handoff is not None:
                    tasks.create_task(_aside(handoff.run), name="hardware")
                for sender in senders:
                    tasks.create_task(_aside(sender.run), name="webhooks")
                tasks.create_task(leadership.keep(), name="lease")
                tasks.create_task(recovery.run(), name="recovery")
                tasks.create_task(logs.run(), name="logs")
        except* NotLeader as group:
            log.warning("replaced", why=str(_first(group)))
        finally:
            self._recovery = None
            self._vitals.stands_by()
        await recovery.leave_notes()

    def _manual_baseline(self) -> float:
        return self._config.efficiency.manual_baseline

    def _watches(self, store: Store, slurm: Slurm) -> list[Watch]:
        """Where logs are read, as it is configured."""
        config, watches = self._config, list[Watch]()
        if config.logs.files:
            report_dir = config.logs.report_dir
            detectors = self._judgement.detectors
            watches.append(LogWatch(slurm, store, detectors, report_dir, self._clock))
        if config.loki.url:
            from ajrd.loki.watch import LokiWatch

            watches.append(LokiWatch(config.loki, store, self._judgement, self._clock))
        if config.hooks.dirs:
            from ajrd.hooks.watch import HookWatch

            dirs, owners = config.hooks.dirs, owners_of(config.hooks)
            clock, hurry = self._clock, self._look_soon
            watches.append(HookWatch(dirs, owners, store, self._judgement, clock, hurry))
        return watches

    def _look_soon(self) -> None:
        if self._recovery is not None:
            self._recovery.hurry()

    async def _reload_on(self, reload: asyncio.Event) -> None:
        while True:
            await reload.wait()
            reload.clear()
            self._notify.reloading()
            await self._reload()
            self._notify.ready()

    async def _reload(self) -> None:
        try:
            config = load(self._path)
            await asyncio.to_thread(self._judgement.load, config.rules_dirs)
        except ConfigError as error:
            log.error("reload_refused", why=str(error))
            self._vitals.reloaded(None)
            return
        self._take_over(config)
        mode, rules = config.recovery.mode.value, self._judgement.digest[:12]
        log.info("reloaded", mode=mode, rules=rules)

    def _take_over(self, config: Config) -> None:
        old, self._config = self._config, config
        self._vitals.reloaded(config)
        if any(getattr(old, name) != getattr(config, name) for name in _FIXED):
            why = f"{', '.join(_FIXED)} change only at a start"
            log.warning("restart_needed", why=why)
        journal.configure(config.logging, self._vitals.recent)
        if self._recovery is not None:
            self._recovery.configure(recovery_settings(config))

    async def _changes(self, reload: asyncio.Event) -> None:
        """Sets ``reload`` when the configuration or a rule file has changed on disk.

        inotify tells at once, but neither of what happened before it listened nor on every file
        system: the files are also looked at every few seconds.
        """
        folders = {self._path.resolve().parent, *map(Path, self._config.rules_dirs)}
        watched = [folder for folder in folders if folder.is_dir()]
        async for _ in awatch(
            *watched, recursive=False, debounce=200, rust_timeout=_LOOK_EVERY, yield_on_timeout=True
        ):
            stamp = await asyncio.to_thread(_stamp, self._path, self._config.rules_dirs)
            if stamp != self._seen:
                self._seen = stamp
                reload.set()


async def _aside(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Work beside recovery: whatever goes wrong in it must not stop the recovery of jobs."""
    while True:
        try:
            await work()
        except NotLeader:
            raise
        except Exception:
            log.exception("aside_failed")
        await asyncio.sleep(_ASIDE_AGAIN)


def _stamp(config: Path, rules_dirs: Sequence[str]) -> frozenset[tuple[str, int, int]]:
    """What tells that one of the files was changed: names, times, sizes."""
    files = {config, *(file for folder in rules_dirs for file in Path(folder).glob("*.y*ml"))}
    stamps = set()
    for file in files:
        with suppress(OSError):
            seen = file.stat()
            stamps.add((str(file), seen.st_mtime_ns, seen.st_size))
    return frozenset(stamps)


class _only_one:  # noqa: N801 -- used as a context manager, reads as a verb
    """Holds the lock file beside a SQLite store: two services must not share one."""

    def __init__(self, database: Path) -> None:
        self._path = Path(f"{database}.lock")

    def __enter__(self) -> TextIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+")
        except OSError as error:
            raise StoreUnavailable(f"cannot use the folder of the database: {error}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise StoreUnavailable(
                f"another ajrd is running on this database (it holds {self._path})"
            ) from None
        return self._file

    def __exit__(self, *_error: object) -> None:
        self._file.close()


def _checkpoint() -> Callable[[str], None]:
    """In fault tests a checkpoint ends or freezes the process; otherwise it is nothing."""
    faults = {FAULT_VARIABLE: signal.SIGKILL, STOP_VARIABLE: signal.SIGSTOP}
    said = [(os.environ.get(variable, ""), fault) for variable, fault in faults.items()]
    wanted = {name: fault for names, fault in said for name in names.split(",") if name}
    if not wanted:
        return no_checkpoint

    def obey(name: str) -> None:
        if name in wanted:
            sys.stderr.flush()
            os.kill(os.getpid(), wanted.pop(name))

    return obey


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
