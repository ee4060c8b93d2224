"""``ajrd doctor``: every precondition and every connection, and what mends what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import click

from ajrd.cli.paint import coloured
from ajrd.cli.storeurl import CONFIG_OPTION, config_path
from ajrd.doctor.check import Look, Verdict, begin, examine, exit_code
from ajrd.doctor.report import as_document, as_lines
from ajrd.doctor.table import CHECKS
from ajrd.secret import RUNNING

_PATH = click.Path(path_type=Path)


@click.command()
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--bundle", type=_PATH, metavar="FILE.tar.gz",
              help="Write what support needs into a new file, without secrets.")  # fmt: skip
@click.option("--log", type=_PATH, metavar="FILE",
              help="The service's own log [default: the journal].")  # fmt: skip
@click.option("--with-names", is_flag=True,
              help="In the bundle also names of users and the texts of the log.")  # fmt: skip
def doctor(
    file: Path | None, as_json: bool, bundle: Path | None, log: Path | None, with_names: bool
) -> None:
    """Look at everything that the service needs, a line each, with what mends what is wrong.

    Ask as root, or as the service's user. Exit status: 0 nothing fails, 1 something does, 2 the
    configuration cannot be used.
    """
    if bundle is not None and os.path.lexists(bundle):
        raise click.UsageError(f"{bundle} is there already")
    if RUNNING.is_dir() and os.access(RUNNING, os.R_OK):
        os.environ.setdefault("CREDENTIALS_DIRECTORY", str(RUNNING))
    look, verdicts = asyncio.run(_look(config_path(file), log))
    if as_json:
        click.echo(json.dumps(as_document(verdicts), indent=2))
    else:
        for line in as_lines(verdicts, coloured()):
            click.echo(line)
    if bundle is not None:
        from ajrd.doctor.bundle import write_bundle

        asyncio.run(write_bundle(bundle, look, verdicts, with_names=with_names))
        click.echo(f"{bundle} is for support: look at it before you pass it on", err=True)
    sys.exit(exit_code(look, verdicts))


async def _look(path: Path, log: Path | None) -> tuple[Look, list[Verdict]]:
    look = await begin(path, log)
    return look, await examine(look, CHECKS)
