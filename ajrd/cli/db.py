"""``ajrd db``: the tables of the database: which revision they have, and what may go."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from ajrd.cli.storeurl import CONFIG_OPTION, config_path
from ajrd.config import DatabaseSection, load
from ajrd.store.engine import Database
from ajrd.store.inspection import inspect
from ajrd.store.migrate import upgrade_tables
from ajrd.store.pruning import Pruned
from ajrd.store.schema import REVISION
from ajrd.store.store import Store

T = TypeVar("T")
_PATH = click.Path(path_type=Path)
#: Exit status of ``check`` for a database that needs something done.
FAULTY = 1


@click.group()
def db() -> None:
    """Look after the database: its tables, its rights, its age."""


@db.command()
@CONFIG_OPTION
def current(file: Path | None) -> None:
    """Print the revision of the tables, and whether this ajrd needs a newer one."""
    found = _with_database(_section(file), inspect).revision
    newest = "the newest" if found == REVISION else f"this ajrd needs {REVISION}"
    click.echo(f"{found or 'no tables'} ({newest})")


@db.command()
@CONFIG_OPTION
def check(file: Path | None) -> None:
    """Say whether the service can use the database, and what to do if not.

    Exit status: 0 usable, 1 something has to be done, 3 unreachable.
    """
    section = _section(file)
    faults = _with_database(section, inspect).faults()
    for fault in faults:
        click.echo(f"{section.url}: {fault}")
    if faults:
        sys.exit(FAULTY)
    click.echo(f"{section.url}: right; revision {REVISION}")


@db.command()
@CONFIG_OPTION
def upgrade(file: Path | None) -> None:
    """Make the tables, or bring them to the newest revision. Stop the service before."""
    section = _section(file)
    before, after = _with_database(section, upgrade_tables)
    if not before:
        _leave_to_service(section)
    click.echo(f"revision {after}" + (f", was {before or 'empty'}" if before != after else ""))


@db.command()
@click.option("--days", type=click.IntRange(1), help="Instead of database.keep_days.")
@CONFIG_OPTION
def prune(days: int | None, file: Path | None) -> None:
    """Forget jobs that are over and were last seen more than `database.keep_days` ago.

    Jobs that are open, or whose decision is, stay. The service may run meanwhile.
    """
    section = _section(file)
    before = datetime.now(UTC) - timedelta(days=days or section.keep_days)
    gone = asyncio.run(_prune(section, before))
    click.echo(
        f"forgot {gone.jobs} jobs with {gone.attempts} attempts, and {gone.events} events of no"
        f" job, all from before {before:%Y-%m-%d}"
    )


@db.command("grant-reader")
@click.argument("name")
@click.option("--host", default="localhost", show_default=True, help="Where it comes from.")
@click.option("--password-file", type=_PATH, help="Made here, 0600; without it: printed once.")
@click.option("--admin-defaults-file", type=_PATH, help="Option file of an administrator (my.cnf).")
@click.option("--admin-user", help="Name of an administrator.  [default: whoever runs this]")
@click.option("--admin-password-file", type=_PATH, help="File with the password of that one.")
@click.option("--admin-socket", help="Socket of the server, if it lets administrators in there.")
@CONFIG_OPTION
def grant_reader_command(
    name: str,
    host: str,
    password_file: Path | None,
    admin_defaults_file: Path | None,
    admin_user: str | None,
    admin_password_file: Path | None,
    admin_socket: str | None,
    file: Path | None,
) -> None:
    """Make a MySQL user that may read job_efficiency_records and nothing else, for Grafana.

    May be repeated: a user that is there keeps its password.
    """
    from ajrd.store.administration import Admin
    from ajrd.store.granting import TABLE, Reader, grant_reader

    admin = Admin(
        defaults_file=admin_defaults_file,
        user=admin_user,
        password_file=admin_password_file,
        socket=admin_socket,
    )
    password = grant_reader(_section(file).address(), admin, Reader(name, host), password_file)
    click.echo(f"{name}@{host} may read {TABLE}")
    if password is not None:
        click.echo(f"password, shown this once: {password}")


def _leave_to_service(section: DatabaseSection) -> None:
    """A SQLite file that root has made belongs to whom its folder does: the service's user.

    A link is not followed: whoever owns the folder could name any file by it.
    """
    place = section.address().place
    if isinstance(place, Path) and os.geteuid() == 0:
        folder = place.parent.stat()
        os.chown(place, folder.st_uid, folder.st_gid, follow_symlinks=False)


def _section(file: Path | None) -> DatabaseSection:
    return load(config_path(file)).database


def _with_database(section: DatabaseSection, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database(section.address())
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


async def _prune(section: DatabaseSection, before: datetime) -> Pruned:
    store = await Store.open(section.address())
    try:
        total = Pruned()
        while (batch := await store.prune(before)) != Pruned():
            total += batch
        return total
    finally:
        await store.close()
