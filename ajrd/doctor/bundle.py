"""What support needs, in one file: what was found, versions, settings, the service's log, counts.

Nothing goes in as it is. Secrets are taken out of every text. Without leave for names, the lines of
the service's log are cut down to fields that hold no words of users, and names of users are
replaced; comments of jobs and lines of their logs never go in by themselves.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import io
import json
import os
import platform
import pwd
import re
import sys
import tarfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ajrd import __version__
from ajrd.asides import endpoint_of
from ajrd.config import HARDWARE_TOKEN, LOKI_PASSWORD, LOKI_TOKEN, Config
from ajrd.doctor.check import QUESTION, Look, NotAsked, Verdict, unattended
from ajrd.doctor.files import secret_files
from ajrd.doctor.redact import SECRET, Redactor, guessed
from ajrd.doctor.report import as_document
from ajrd.doctor.service import Books, books, document, own_log
from ajrd.doctor.tools import Account, address_of, given, in_thread, service_account
from ajrd.doctor.web import over_socket
from ajrd.errors import AjrdError, ConfigError
from ajrd.secret import read_secret
from ajrd.store.address import CREDENTIAL, Server
from ajrd.store.driver import connect
from ajrd.store.queries import Query

#: The folder in the file; lines of the log; users whose names are looked for.
FOLDER, LINES, USERS = "ajrd-support", 3000, 20_000
#: Fields of the service's log whose words are its own.
_OWN_WORDS = frozenset(
    {"event", "level", "timestamp", "role", "mode", "rules", "step", "outcome", "verb", "branch",
     "cause", "kind", "state", "code", "backend", "job"}
)  # fmt: skip
_WORD = re.compile(r"[\w.:+-]{1,64}", re.ASCII)
#: A part of a URL that may be a key: to many services whoever knows the URL of a webhook may post.
_KEY = re.compile(r"(?<=[/?&=])[^/?&=]{16,}")
_FRAME = re.compile(r'File "[^"]*?([^"/]+/[^"/]+\.py)", line (\d+), in (\w+)')
_TABLES = ("jobs", "attempts", "anomalies", "decisions", "actions", "events", "log_positions",
           "requests", "node_suspicions", "job_efficiency_records")  # fmt: skip
_ABOUT = """What `ajrd doctor --bundle` has written for support. Look at it before you pass it on.

doctor.json    every check and what was found
versions.json  ajrd, Python, libraries, kernel
config.json    the configuration with its defaults
lease.json     who leads
counts.json    rows of each table, decisions by state
metrics.txt    what /metrics says
service.log    the last lines of the service's own log

Passwords, tokens, users in URLs and the URLs of webhooks were replaced by [secret]. {names}
A file holds a sentence instead of its content if that was not to be had.
"""
_WITHOUT = "Names of users were replaced by [user], texts of the log left out (--with-names)."
_WITH = "Names of users and the texts of the log were kept, by --with-names."


async def write_bundle(
    path: Path, look: Look, verdicts: Sequence[Verdict], *, with_names: bool
) -> None:
    """Makes a new file, 0600; raises ConfigError if it cannot be made."""
    unattended()
    members = await gathered(look, verdicts, with_names=with_names)
    try:
        await in_thread(lambda: _write(path, members))
    except OSError as error:
        raise ConfigError(f"cannot write the bundle {path}: {error.strerror}") from None


def _write(path: Path, members: Mapping[str, str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, text in members.items():
                content = text.encode("utf-8", "replace")
                member = tarfile.TarInfo(f"{FOLDER}/{name}")
                member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
                tar.addfile(member, io.BytesIO(content))
    except BaseException:
        path.unlink()
        raise


async def gathered(look: Look, verdicts: Sequence[Verdict], *, with_names: bool) -> dict[str, str]:
    """The files by their names, redacted."""
    parts = {
        "lease.json": _with_config(look, _lease),
        "counts.json": _with_config(look, _counts),
        "metrics.txt": _with_config(look, _metrics),
        "service.log": _log(look, with_names=with_names),
    }
    redact, *found = await asyncio.gather(
        _redactor(look, with_names=with_names), *map(_or_why, parts.values())
    )
    report = as_document(verdicts, details=with_names)
    documents = {
        "doctor.json": report,
        "versions.json": versions(),
        "config.json": settings(look),
        **dict(zip(parts, found, strict=True)),
    }
    names = _WITH if with_names else _WITHOUT
    return {"README": _ABOUT.format(names=names)} | {
        name: _text(redact.document(each)) for name, each in documents.items()
    }


def _text(document: Any) -> str:
    """Lines stay lines, everything else is JSON."""
    if isinstance(document, list):
        lines = (each if isinstance(each, str) else json.dumps(each) for each in document)
        return "".join(f"{line}\n" for line in lines)
    if isinstance(document, str):
        return f"{document}\n"
    return json.dumps(document, indent=2, default=str) + "\n"


async def _or_why(part: Any) -> Any:
    try:
        async with asyncio.timeout(QUESTION):
            return await part
    except TimeoutError:
        return "not to be had: no answer in time"
    except AjrdError as error:
        return f"not to be had: {error}"


async def _with_config(look: Look, part: Callable[[Look], Awaitable[Any]]) -> Any:
    """The defaults of a configuration that cannot be read are another's database."""
    if look.error:
        raise NotAsked("the configuration cannot be used")
    return await part(look)


async def _lease(look: Look) -> dict[str, Any]:
    found: Books = await look.once(books)
    lease = found.lease
    if lease is None:
        raise NotAsked("nobody has ever led")
    told = {name: getattr(lease, name) for name in ("holder", "host", "pid", "epoch")}
    times = {name: getattr(lease, name) for name in ("acquired_at", "renewed_at", "expires_at")}
    return {**told, **times, "now": found.now, "leads": found.leads}


async def _counts(look: Look) -> dict[str, Any]:
    await look.once(books)

    def count() -> dict[str, Any]:
        with closing(connect(address_of(look))) as db:
            rows = {name: db.all(Query(f"SELECT COUNT(*) AS n FROM {name}"))[0]["n"]  # noqa: S608
                    for name in _TABLES}  # fmt: skip
            by_state = db.all(
                Query(
                    "SELECT decisions.state AS state, COUNT(*) AS n FROM decisions GROUP BY state"
                )
            )
            return {"rows": rows, "decisions": {row["state"]: row["n"] for row in by_state}}

    return await in_thread(count)


async def _metrics(look: Look) -> list[str]:
    return (await over_socket(look, "/metrics")).body.decode("utf-8", "replace").splitlines()


async def _log(look: Look, *, with_names: bool) -> list[Any]:
    """Parsed, so that no secret hides behind the escapes of JSON."""
    lines = (await own_log(look))[-LINES:]
    return [document(line) or line for line in lines] if with_names else list(wordless(lines))


def wordless(lines: Iterable[str]) -> Iterator[Any]:
    """Log lines without words of users: numbers, and what only the service writes."""
    others = 0
    for line in lines:
        told = document(line)
        if isinstance(told, dict):
            kept = {key: _without_words(key, value) for key, value in told.items()}
            yield {key: value for key, value in kept.items() if value is not None}
        else:
            others += bool(line)
    if others:
        yield {"lines_left_out": others}


def _without_words(key: str, value: Any) -> Any:
    """None for what is left out."""
    if not _WORD.fullmatch(key):
        return None
    if key == "exception":
        return _skeleton(str(value))
    if isinstance(value, str):
        return value if key in _OWN_WORDS and _WORD.fullmatch(value) else None
    return value if isinstance(value, int | float) else None


def _skeleton(traceback: str) -> list[str]:
    """Where it went and of which class it was, not what it said."""
    frames = [f"{file}:{line} {name}" for file, line, name in _FRAME.findall(traceback)]
    kind = traceback.strip().rpartition("\n")[2].partition(":")[0]
    return [*frames, kind] if _WORD.fullmatch(kind) else frames


def versions() -> dict[str, Any]:
    """ajrd and what it stands on."""
    wanted = importlib.metadata.requires("ajrd") or []
    names = sorted({re.split(r"[^\w.-]", each)[0] for each in wanted if "extra ==" not in each})
    libraries = {}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            libraries[name] = importlib.metadata.version(name)
    return {
        "ajrd": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "libraries": libraries,
    }


def settings(look: Look) -> dict[str, Any]:
    """The configuration; how many people it names, not which."""
    if look.error:
        return {"error": look.error}
    values = look.config.model_dump(mode="json")
    for name in ("operators", "operator_groups"):
        values["web"][name] = f"{len(values['web'][name])} names"
    for webhook in values["notify"]["webhooks"]:
        parts = urlsplit(webhook["url"])
        webhook["url"] = f"{parts.scheme}://{parts.netloc}/{SECRET}"
        webhook["users"] = f"{len(webhook['users'])} names"
    return values


async def _redactor(look: Look, *, with_names: bool) -> Redactor:
    names = None if with_names else {*_named(look), *await _users(look)}
    return Redactor(await in_thread(lambda: set(_secrets(look))), names)


def _secrets(look: Look) -> Iterator[str]:
    """What stands in the files of secrets, however they may be read by others, and in the file."""
    with suppress(OSError):
        yield from guessed(look.path.read_text(errors="replace"))
    for name in secret_files(look.config):
        with suppress(OSError):
            yield from _words(Path(name).read_bytes())
    for credential in _credentials(look.config):
        for file in (None, given(credential)):
            with suppress(ConfigError):
                yield from _words(read_secret(file, credential, "the service"))
    for webhook in look.config.notify.webhooks:
        parts = urlsplit(webhook.url)
        yield webhook.url if parts.path.strip("/") or parts.query else ""
        yield from _KEY.findall(webhook.url)


def _credentials(config: Config) -> Iterator[str]:
    yield from (CREDENTIAL, LOKI_PASSWORD, LOKI_TOKEN, HARDWARE_TOKEN)
    yield from (endpoint_of(webhook).credential for webhook in config.notify.webhooks)


def _words(secret: bytes) -> Iterator[str]:
    text = secret.rstrip(b"\r\n")
    yield text.decode("utf-8", "surrogateescape")
    yield text.decode("latin-1")


def _named(look: Look) -> Iterator[str]:
    """Whom the configuration names, and who asks."""
    config = look.config
    place = config.database.address().place
    yield from config.web.operators
    yield from config.web.operator_groups
    yield from (user for webhook in config.notify.webhooks for user in webhook.users)
    yield from (config.loki.auth.user or "", place.user if isinstance(place, Server) else "")
    yield os.environ.get("SUDO_USER", "")
    with suppress(KeyError):
        yield pwd.getpwuid(os.getuid()).pw_name


async def _users(look: Look) -> set[str]:
    """Whose jobs the store knows, and whom the service runs as."""
    owners, account = await asyncio.gather(
        _or_why(in_thread(lambda: _owners(look))), _or_why(look.once(service_account))
    )
    found: set[str] = owners if isinstance(owners, set) else set()
    return found | ({account.name} if isinstance(account, Account) else set())


def _owners(look: Look) -> set[str]:
    with closing(connect(address_of(look))) as db:
        query = Query("SELECT DISTINCT jobs.user AS user FROM jobs LIMIT :most", {"most": USERS})
        return {str(row["user"]) for row in db.all(query)}
