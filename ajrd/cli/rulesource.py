"""Which rules a command works with: those of ajrd and of the site."""

from __future__ import annotations

from pathlib import Path

import click

from ajrd.cli.storeurl import config_path
from ajrd.detect.catalogue import Catalogue

RULES_OPTION = click.option(
    "--rules",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder of site rules; default: rules_dirs of the configuration, if there is one.",
)


def catalogue(folders: tuple[Path, ...]) -> Catalogue:
    """The rules of ajrd with the site's; raises ConfigError."""
    return Catalogue.load(folders or _configured())


def _configured() -> tuple[str, ...]:
    path = config_path(None)
    if not path.exists():
        return ()
    from ajrd.config import load

    return load(path).rules_dirs
