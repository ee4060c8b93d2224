"""``ajrd run``: the service in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from ajrd.config import default_path


@click.command()
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Configuration file [default: $AJRD_CONFIG or /etc/ajrd/config.yaml].",
)
def run(file: Path | None) -> None:
    """Run the service in the foreground until SIGTERM or SIGINT; SIGHUP reloads."""
    from ajrd.daemon import run_service

    run_service(file or default_path())
