"""``ajrd hooks``: puts the hooks of slurm.conf onto this host, takes them away, tries them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ajrd.cli.main import UNREACHABLE
from ajrd.errors import ConfigError
from ajrd.hooks.install import (
    HOOKS,
    TELLING,
    edit,
    folder_of,
    install,
    lines_for,
    named_in,
    remove,
    with_lines,
    without_lines,
)
from ajrd.hooks.message import parse

#: Seconds that a hook may take: its own limit, and what a busy host adds.
_LIMIT = 5.0
_DIR = click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default="/etc/ajrd/hooks",
    show_default=True, help="Where the hooks lie.",
)  # fmt: skip
_ONLY = click.option(
    "--only", multiple=True, type=click.Choice([*HOOKS]), help="This hook [default: all]."
)
_CONF = click.option(
    "--slurm-conf", "conf", type=click.Path(path_type=Path, dir_okay=False),
    envvar="SLURM_CONF", default="/etc/slurm/slurm.conf", show_default=True, metavar="FILE",
    help="slurm.conf, which names the hooks.",
)  # fmt: skip
_EDIT = click.option("--edit", "edits", is_flag=True, help="Change slurm.conf, too; keeps a copy.")


def _where(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (_EDIT, _CONF, _ONLY, _DIR):
        command = option(command)
    return command


@click.group()
def hooks() -> None:
    """Install, remove and try the hooks that Slurm runs."""


@hooks.command("install")
@_where
@click.option("--spool", metavar="DIR", help="Where hooks leave messages (hooks.dirs).")
@click.option("--reports", metavar="DIR", help="Where srun-prolog reports (logs.report_dir).")
def install_hooks(
    folder: Path,
    only: tuple[str, ...],
    conf: Path,
    edits: bool,
    spool: str | None,
    reports: str | None,
) -> None:
    """Write the hooks and print their lines for slurm.conf, which stays as it is without --edit.

    The node's epilog and srun-prolog must be on every node, at the same place.
    """
    folder, names = folder.absolute(), only or tuple(HOOKS)
    changed = with_lines(_read(conf), folder, names) if edits else ""
    install(folder, names, spool, reports)
    click.echo(f"# {len(names)} hooks in {folder}; slurm.conf on all hosts:")
    click.echo("\n".join(lines_for(folder, names)))
    if edits:
        _edit(conf, changed)


@hooks.command("remove")
@_where
def remove_hooks(folder: Path, only: tuple[str, ...], conf: Path, edits: bool) -> None:
    """Delete the hooks, unless slurm.conf still names them: a missing epilog drains nodes.

    With --edit their lines are taken out of slurm.conf, and the files stay until Slurm knows it.
    """
    folder, names = folder.absolute(), only or tuple(HOOKS)
    text = _read(conf) if edits or conf.exists() else ""
    left = without_lines(text) if edits else text
    if named := named_in(left, folder, names):
        raise ConfigError(
            f"{conf} still names {', '.join(named)}: take the lines out (--edit takes out ajrd's),"
            " run scontrol reconfigure, and then remove the hooks"
        )
    if left != text:
        _edit(conf, left)
        click.echo("# and then once more: ajrd hooks remove")
        return
    for path in remove(folder, names):
        click.echo(f"removed {path}")


@hooks.command("test")
@_DIR
def try_hooks(folder: Path) -> None:
    """Run each installed hook on a job that is none, and look at what it tells.

    Exit status: 0 all is well, 3 something is not.
    """
    there = [name for name in TELLING if (folder / name).exists()]
    if not there:
        raise ConfigError(f"no hook of ajrd is in {folder}; see: ajrd hooks install")
    faults = {name: _try(folder / name) for name in there}
    for name, fault in faults.items():
        click.echo(f"{name}: {fault or 'well'}")
    if any(faults.values()):
        sys.exit(UNREACHABLE)


def _try(hook: Path) -> str:
    """What is wrong with a hook, "" if nothing is."""
    with tempfile.TemporaryDirectory(prefix="ajrd-hooks-") as spool:
        variables = {"AJRD_HOOK_DIR": spool, "SLURM_JOB_ID": "0", "SLURMD_NODENAME": "test"}
        began = time.monotonic()
        try:
            done = subprocess.run(
                [hook], env={"PATH": os.environ.get("PATH", ""), **variables}, timeout=_LIMIT,
                check=False, capture_output=True,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"cannot be run: {error}"
        if done.returncode or done.stdout or done.stderr:
            return f"exit status {done.returncode}: {(done.stderr + done.stdout)[:200]!r}"
        told = [parse(path.read_bytes()) for path in Path(spool).iterdir() if path.is_file()]
        if not told or not all(told):
            return f"tells nothing after {time.monotonic() - began:.1f} s; mkdir, mv there?"
    target = folder_of(hook.read_text(encoding="utf-8"))
    if not Path(target).is_dir():
        return f"{target} is not there: systemd-tmpfiles --create, or see hooks.dirs"
    return (
        "" if os.access(target, os.W_OK | os.X_OK) else f"{target} cannot be written by this user"
    )


def _read(conf: Path) -> str:
    try:
        return conf.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {conf}: {error}; name it with --slurm-conf") from None


def _edit(conf: Path, text: str) -> None:
    backup = edit(conf, text, datetime.now().astimezone())
    said = f"changed {conf}; it was {backup}" if backup else f"{conf} says so already"
    click.echo(f"# {said}. Now: scontrol reconfigure")
