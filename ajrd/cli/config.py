"""``ajrd config check``: is a configuration right, and what does it mean?"""

from __future__ import annotations

from pathlib import Path

import click

from ajrd.cli.storeurl import config_path
from ajrd.config import load


@click.group()
def config() -> None:
    """Check the configuration."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--show", is_flag=True, help="Print every setting, defaults included.")
def check(file: Path | None, show: bool) -> None:
    """Check FILE (default: $AJRD_CONFIG or /etc/ajrd/config.yaml).

    Exit status 0 if it is right, 2 with every fault by file, line and key if not.
    """
    path = config_path(file)
    loaded = load(path)
    if show:
        import yaml

        click.echo(yaml.safe_dump(loaded.model_dump(mode="json"), sort_keys=False), nl=False)
    else:
        click.echo(f"{path}: right; mode {loaded.recovery.mode.value}")
