"""Configuration and files: right, readable by the service, and by nobody who should not."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ajrd.config import Config
from ajrd.detect.catalogue import Catalogue
from ajrd.doctor.check import Check, Finding, Group, Look, NotAsked, fail, ok, skip, warn
from ajrd.doctor.tools import Account, in_thread, service_account


@dataclass(frozen=True, slots=True)
class Node:
    """One file or folder: its mode and owner; ``error`` if it cannot be looked at."""

    path: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    error: str = ""

    @property
    def word(self) -> str:
        """Its path for a shell."""
        return shlex.quote(self.path)

    def open_to(self, who: Account, wanted: int) -> bool:
        """May somebody do ``wanted`` (4 read, 1 enter) with it? Access lists are not looked at."""
        if who.uid == 0:
            return True
        shift = 6 if self.uid == who.uid else 3 if self.gid in who.groups else 0
        return bool((self.mode >> shift) & wanted)


def node(path: str) -> Node:
    """Follows symlinks."""
    try:
        found = os.stat(path)
    except OSError as error:
        return Node(path, error=error.strerror or str(error))
    return Node(path, found.st_mode, found.st_uid, found.st_gid)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The file, and what is wrong with what stands in it."""

    file: Node
    error: str


async def config_file(look: Look) -> ConfigFile:
    """Without reading it again."""
    return ConfigFile(await in_thread(lambda: node(str(look.path))), look.error)


def judge_content(found: ConfigFile, _config: Config) -> Finding:
    """It is there and right."""
    if found.file.error:
        return fail(found.error or found.file.error, f"ajrd config check {found.file.word}")
    if found.error:
        return fail("; ".join(found.error.splitlines()), f"ajrd config check {found.file.word}")
    return ok(f"{found.file.path} is right")


def judge_mode(found: ConfigFile, _config: Config) -> Finding:
    """0640: who may write it rules the service, and it tells where everything is."""
    if found.file.error:
        return skip("the file is not there")
    said = f"{found.file.path} has mode {stat.S_IMODE(found.file.mode):04o}"
    mend = f"chmod 0640 {found.file.word}"
    if found.file.mode & stat.S_IWOTH:
        return fail(f"{said}: everybody may change it", mend)
    if found.file.mode & (stat.S_IWGRP | stat.S_IROTH):
        return warn(f"{said}, not 0640", mend)
    return ok(said)


@dataclass(frozen=True, slots=True)
class Readable:
    """Files with the folders that lead to them, and who has to read them."""

    who: Account
    files: tuple[tuple[Node, ...], ...]


async def own_config(look: Look) -> Readable:
    """The configuration itself."""
    return await _readable(look, [str(look.path)])


async def secrets(look: Look) -> Readable:
    """The files that passwords, tokens and keys are in."""
    names = list(secret_files(look.config))
    if not names:
        raise NotAsked("the configuration names no file with a secret")
    return await _readable(look, names)


async def _readable(look: Look, names: list[str]) -> Readable:
    who = await look.once(service_account)
    return Readable(who, await in_thread(lambda: tuple(_way(name) for name in names)))


def _way(name: str) -> tuple[Node, ...]:
    path = Path(name).absolute()
    return (node(name), *(node(str(folder)) for folder in path.parents))


def secret_files(config: Config) -> Iterator[str]:
    """Those of the database, Loki, hardware service, webhooks; keys of client certificates."""
    api, webhooks = config.hardware.api, config.notify.webhooks
    named = (
        config.database.password_file,
        config.database.tls.key,
        config.loki.auth.password_file,
        config.loki.auth.token_file,
        config.loki.tls.key,
        api.token_file,
        api.tls.key,
        *(file for webhook in webhooks for file in (webhook.secret_file, webhook.tls.key)),
    )
    yield from (name for name in named if name)


def judge_secrets(found: Readable, config: Config) -> Finding:
    """Not readable by everybody, but by the service."""
    for file, *_ in found.files:
        if file.mode & stat.S_IRWXO:
            return fail(f"everybody may read {file.path}", f"chmod o= {file.word}")
    return judge_readable(found, config)


def judge_readable(found: Readable, _config: Config) -> Finding:
    """By the service's user, the folders on the way included."""
    who = f"{found.who.name} ({found.who.why})"
    for file, *folders in found.files:
        if file.error:
            return fail(f"{file.path}: {file.error}", f"ls -ld {file.word}")
        closed = next((each for each in folders if not each.open_to(found.who, 1)), None)
        if closed is not None:
            return fail(f"{who} cannot enter {closed.path}", f"chmod o+x {closed.word}")
        if not file.open_to(found.who, 4):
            group = shlex.quote(found.who.name)
            return fail(
                f"{who} cannot read {file.path}",
                f"chgrp {group} {file.word} && chmod g+r {file.word}",
            )
    names = ", ".join(file.path for file, *_ in found.files)
    return ok(f"{who} may read {names}")


async def rules(look: Look) -> int:
    """How many rules load; raises ConfigError."""
    folders = look.config.rules_dirs
    return len(await in_thread(lambda: Catalogue.load(folders).every))


def judge_rules(found: int, config: Config) -> Finding:
    """Those of the package and of the site's folders."""
    folders = ", ".join(config.rules_dirs) or "no folder of the site's own"
    return ok(f"{found} rules; {folders}")


_G, _CHECK = Group.FILES, "ajrd config check"
CHECKS: tuple[Check[Any], ...] = (
    Check("config", _G, "is it there and right", config_file, judge_content, _CHECK, False),
    Check("config-mode", _G, "its mode is 0640", config_file, judge_mode, _CHECK, False),
    Check("config-readable", _G, "may the service read it", own_config, judge_readable, _CHECK),
    Check("secrets", _G, "files of passwords, tokens, keys", secrets, judge_secrets, _CHECK),
    Check("rules", _G, "do the rules load", rules, judge_rules, "ajrd rules check"),
)
