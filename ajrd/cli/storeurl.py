"""Where the store is, for commands that only read it and must start at once.

Checking the whole configuration costs a tenth of a second, and a mistake elsewhere in the file
must not keep anybody from seeing the history.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from ajrd.errors import ConfigError
from ajrd.store.address import TIMEOUT, Address, Tls

if TYPE_CHECKING:
    from ajrd.config import Config

#: As in :mod:`ajrd.config`, which is imported only if the file needs a closer look.
_DEFAULT, _VARIABLE = "/etc/ajrd/config.yaml", "AJRD_CONFIG"
#: Where the units and the example have the service listen.
_SOCKET = Path("/run/ajrd/ajrd.sock")
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: What a file raises that needs a closer look, and a better message.
_UNCLEAR = (OSError, yaml.YAMLError, AttributeError, TypeError, LookupError, ValueError)

CONFIG_OPTION = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, readable=False),  # who reads it says more if it cannot
    help="Configuration file [default: $AJRD_CONFIG or /etc/ajrd/config.yaml].",
)


def config_path(given: Path | None) -> Path:
    """The file given, or named by ``AJRD_CONFIG``, else /etc/ajrd/config.yaml."""
    return given or Path(os.environ.get(_VARIABLE) or _DEFAULT)


def site_config(given: Path | None) -> Config:
    """The whole configuration; for users who may not read it that of ajrd itself, with a word."""
    from ajrd.config import load, parse

    path = config_path(given)
    try:
        path.open("rb").close()
    except PermissionError:
        click.echo(f"ajrd: {path} is not for you to read; ajrd's own limits are taken", err=True)
        return parse("recovery: {mode: act}", "the defaults")
    except OSError:
        pass  # load says it better
    return load(path)


def web_socket(given: Path | None) -> Path | None:
    """Where the service listens for users of this host, as far as the file tells.

    A packaged configuration is for administrators to read; others look where it mostly is.
    """
    try:
        content = config_path(given).read_bytes()
    except OSError as error:
        return _SOCKET if isinstance(error, PermissionError) else None
    with suppress(ConfigError, *_UNCLEAR):
        return Path(_text(yaml.load(content, _Loader)["web"]["socket"]))  # noqa: S506 -- safe
    return None


def store_address(given: Path | None) -> Address:
    """The section ``database`` of a configuration; raises ConfigError."""
    path = config_path(given)
    with suppress(ConfigError, *_UNCLEAR):
        return _quickly(yaml.load(path.read_bytes(), _Loader)["database"])  # noqa: S506 -- safe
    from ajrd.config import load

    return load(path).database.address()


def _quickly(section: dict[str, Any]) -> Address:
    tls = {key: _text(value) for key, value in section.get("tls", {}).items()}
    return Address(
        url=_text(section["url"]),
        password_file=_text(section["password_file"]) if "password_file" in section else None,
        tls=Tls(**tls),
        timeout=float(section.get("timeout", TIMEOUT)),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
