"""Where the store is, for commands that only read it and must start at once.

Checking the whole configuration costs a tenth of a second, and a mistake elsewhere in the file
must not keep anybody from seeing the history.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import yaml

#: As in :mod:`ajrd.config`, which is imported only if the file needs a closer look.
_DEFAULT, _VARIABLE = "/etc/ajrd/config.yaml", "AJRD_CONFIG"
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

CONFIG_OPTION = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Configuration file [default: $AJRD_CONFIG or /etc/ajrd/config.yaml].",
)


def config_path(given: Path | None) -> Path:
    """The file given, or named by ``AJRD_CONFIG``, else /etc/ajrd/config.yaml."""
    return given or Path(os.environ.get(_VARIABLE) or _DEFAULT)


def store_url(given: Path | None) -> str:
    """``database.url`` of a configuration; raises ConfigError."""
    path = config_path(given)
    try:
        value = yaml.load(path.read_bytes(), _Loader)["database"]["url"]  # noqa: S506 -- safe
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError):
        value = None
    if isinstance(value, str) and value.startswith("sqlite:///"):
        return value
    from ajrd.config import load

    return load(path).database.url
