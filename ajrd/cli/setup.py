"""``ajrd setup``: finds out, asks, tries, shows what will be changed, and then does it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ajrd.errors import SetupError


@click.command()
@click.option("--answers", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Ask nothing: the answers are in this file.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option("--replace-config", is_flag=True,
              help="Overwrite a config.yaml that setup has not written; keep a copy.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask whether it is to be carried out.")
def setup(file: Path | None, dry_run: bool, replace_config: bool, yes: bool) -> None:
    """Set up the service on this head node: files, database, rights, hooks, units.

    Everything is asked, or taken from --answers, and tried before anything is changed. It may be
    repeated: what is right already stays as it is. The answers of an earlier run, in
    /etc/ajrd/setup-answers.yaml, are the defaults.

    Exit status: 0 it is set up, 1 it is, and the doctor finds a failure, 2 the answers cannot be
    used, 3 something does not work, 130 given up.
    """
    if os.geteuid() != 0:
        raise SetupError("setup changes files of the system: run it as root (sudo ajrd setup)")
    from ajrd.cli.settingup import set_up

    set_up(file, dry_run=dry_run, replace_config=replace_config, yes=yes)
