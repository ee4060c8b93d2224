"""From the file's words to what each part takes: the only place that knows both."""

from __future__ import annotations

import pwd
from contextlib import suppress
from pathlib import Path

from ajrd.config import Config, HooksSection, Mode, SlurmSection
from ajrd.policy.directive import Limits
from ajrd.policy.eligibility import Site
from ajrd.recovery.settings import Settings
from ajrd.slurm.accounting import Sacct


def limits_of(config: Config) -> Limits:
    """The site's default and ceiling for requeues."""
    recovery = config.recovery
    return Limits(recovery.default_requeue_times, recovery.max_requeue_times)


def site_of(config: Config) -> Site:
    """Where ajrd may act, and whether."""
    recovery = config.recovery
    return Site(frozenset(recovery.partitions), recovery.mode is Mode.ACT)


def recovery_settings(config: Config) -> Settings:
    """What the recovery loop takes."""
    recovery = config.recovery
    return Settings(
        poll=config.slurm.poll,
        settle=recovery.settle,
        progress_lag=recovery.progress_lag,
        hold_limit=recovery.hold_limit,
        store_grace=recovery.store_grace,
        no_progress_limit=recovery.no_progress_limit,
        backoff=recovery.backoff,
        site=site_of(config),
        limits=limits_of(config),
    )


def lease_seconds(config: Config) -> float:
    """How long a lease lasts that is not renewed."""
    return config.recovery.lease or config.slurm.timeout + 10


def owners_of(section: HooksSection) -> frozenset[int]:
    """The numbers of the users whose hooks are believed; a name that nobody has here is nobody."""
    owners = set()
    for name in section.owners:
        with suppress(KeyError):
            owners.add(pwd.getpwnam(name).pw_uid)
    return frozenset(owners)


def sacct(section: SlurmSection) -> Sacct:
    """Accounting of the cluster that the other commands are for."""
    return Sacct(section.conf, section.bin_dir, section.timeout)


def sqlite_path(config: Config) -> Path | None:
    """The file of the embedded store; None if the store is a server's."""
    place = config.database.address().place
    return place if isinstance(place, Path) else None
