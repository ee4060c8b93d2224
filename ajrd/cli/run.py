"""``ajrd run``: the service in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from ajrd.cli.storeurl import CONFIG_OPTION, config_path


@click.command()
@CONFIG_OPTION
def run(file: Path | None) -> None:
    """Run the service in the foreground until SIGTERM or SIGINT; SIGHUP reloads."""
    from ajrd.daemon import run_service

    run_service(config_path(file))
