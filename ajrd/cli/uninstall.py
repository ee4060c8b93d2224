"""``ajrd uninstall``: takes back what ``ajrd setup`` has made on this host, and nothing else."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from ajrd.errors import AjrdError, SetupError
from ajrd.setup.book import File, Record
from ajrd.setup.host import Host
from ajrd.setup.remove import Removal, others_in, removal, remove, require_admin
from ajrd.setup.undoing import words
from ajrd.store.administration import Admin

_PATH = click.Path(path_type=Path, dir_okay=False)
_TRIES = 3


@click.command()
@click.option("--purge", is_flag=True, help="Also configuration, secrets, history and users.")
@click.option("--keep-database", is_flag=True, help="With --purge: leave what is on its server.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--admin-user", help="An administrator of the database, for --purge.")
@click.option("--admin-password-file", type=_PATH, help="File with that one's password.")
@click.option("--admin-defaults-file", type=_PATH, help="Or an option file of MySQL with both.")
@click.option("--admin-socket", help="Socket of the server, if it lets administrators in there.")
def uninstall(
    purge: bool,
    keep_database: bool,
    yes: bool,
    dry_run: bool,
    admin_user: str | None,
    admin_password_file: Path | None,
    admin_defaults_file: Path | None,
    admin_socket: str | None,
) -> None:
    """Stop ajrd on this host and remove what setup has made.

    The list is shown before. Without --purge configuration, secrets, rules, history and the users
    to whom they belong stay; a database that setup has made is dropped by --purge alone. The
    program stays: where it is a package, remove that afterwards.
    """
    host = Host()
    if not _is_root():
        raise SetupError("only root can take ajrd off a host")
    plan = removal(host, purge=purge, keep_database=keep_database)
    _show(host, plan)
    if dry_run:
        return
    admin = Admin(
        user=admin_user, password_file=admin_password_file, defaults_file=admin_defaults_file,
        socket=admin_socket,
    )  # fmt: skip
    if plan.needs_admin():
        admin = _entering(plan, admin, ask=not yes and _somebody_is_there())
    if not yes:
        click.confirm("Remove this?", abort=True)
    remove(host, plan, admin, click.echo)
    click.echo("The program itself stays: apt-get purge ajrd, or the end of docs/quickstart.md")


def _is_root() -> bool:
    return os.geteuid() == 0


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _show(host: Host, plan: Removal) -> None:
    click.echo("This goes:" if plan.goes else "There is nothing to remove.")
    for line in plan.said():
        click.echo(f"  {line}")
    if plan.stays:
        click.echo("This stays:")
    for record, why in plan.stays:
        click.echo(f"  {_staying(record)} ({why})")
    for path in others_in(host, plan):
        click.echo(f"  {path} (not made by setup)")


def _staying(record: Record) -> str:
    """A file is as it is now, whatever a purge would put back."""
    return words(replace(record, before=None) if isinstance(record, File) else record)


def _entering(plan: Removal, admin: Admin, *, ask: bool) -> Admin:
    """An administrator who can drop the database: as given, else as asked for."""
    for _ in range(_TRIES if ask else 0):
        try:
            require_admin(plan, admin)
            return admin
        except AjrdError as error:
            click.echo(f"{error}")
            user = click.prompt("Administrator of the database", default=admin.user or "root")
            password = click.prompt("Password", default="", hide_input=True, show_default=False)
            admin = replace(admin, user=user, password=password, password_file=None)
    try:
        require_admin(plan, admin)
    except AjrdError as error:
        raise SetupError(
            f"{error}. Nothing is removed yet: give --admin-user and --admin-password-file, or"
            " leave database and users where they are by --keep-database"
        ) from None
    return admin
