"""Folders, and the files with secrets in one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from ajrd.errors import SetupError
from ajrd.setup import undoing, wanted
from ajrd.setup.answers import Kind
from ajrd.setup.book import DatabaseUser, State
from ajrd.setup.making import Change, Owner, Text, Work, file, folder, look, saying
from ajrd.setup.steps.people import service_group
from ajrd.store.founding import new_password

_SHIPPED, _OWN = "/usr/lib/tmpfiles.d/ajrd.conf", "/etc/tmpfiles.d/ajrd.conf"


def home(work: Work) -> Iterator[Change]:
    """The folder of the configuration, and of the book."""
    if not work.host.path(wanted.HOME).exists():
        yield Change(f"make folder {wanted.HOME} (755 root:root)", lambda: _begin(work))


def _begin(work: Work) -> None:
    work.undone_by(work.book.close)
    with saying(f"make folder {wanted.HOME}"):
        work.book.begin()


def folders(work: Work) -> Iterator[Change]:
    """Those of the configuration, and those that the hooks write into."""
    group = service_group(work)
    yield from folder(work, wanted.RULES, 0o755, Owner())
    yield from folder(work, wanted.CREDENTIALS, 0o750, Owner("root", group))
    for path in wanted.STATE:
        yield from _state(work, path)
    yield from _spool(work, group)


def _state(work: Work, path: str) -> Iterator[Change]:
    if work.book.find(State(path, None)) is None:
        before = None
        with suppress(FileNotFoundError):
            before = tuple(sorted(os.listdir(work.host.path(path))))
        said = f"keep in mind what is in {path}: {', '.join(before or ()) or 'nothing'}"
        yield Change(said, lambda: _keep_in_mind(work, State(path, before)))


def _keep_in_mind(work: Work, made: State) -> None:
    work.record(made)


def _spool(work: Work, group: str) -> Iterator[Change]:
    user = wanted.service_user(work.job.answers, work.job.facts)
    text = wanted.tmpfiles(user, group)
    shipped = look(work.host, _SHIPPED)
    path = _SHIPPED if shipped and shipped.text == text else _OWN
    changes = list(
        file(work, Text(_OWN, text, 0o644, Owner()))
        if path == _OWN
        else undoing.obsolete(work, work.book.file(_OWN))  # it would count more than the package's
    )
    yield from changes
    if changes or not work.host.path(wanted.MESSAGES).is_dir():
        said = f"make the folders of the hooks: systemd-tmpfiles --create {path}"
        yield Change(said, lambda: _create(work, path))


def _create(work: Work, path: str) -> None:
    made = work.book.find(State(wanted.SPOOL, None))
    if isinstance(made, State):
        work.undone_by(lambda: undoing.state(work.host, made))
    work.host.run("systemd-tmpfiles", "--create", str(work.host.path(path)))
    if not work.host.path(wanted.MESSAGES).is_dir():
        raise SetupError(f"systemd-tmpfiles has made no {wanted.MESSAGES}; see {path}")


# Secrets


def credentials(work: Work) -> Iterator[Change]:
    """A file for each secret that the configuration names; those no longer named go."""
    answers, given = work.job.answers, work.job.secrets
    group = service_group(work)
    here = {
        wanted.DB_PASSWORD: _database(work) if answers.database.kind is Kind.MYSQL else "",
        wanted.LOKI_PASSWORD: given.loki if answers.loki.url and answers.loki.user else "",
        wanted.LOKI_TOKEN: given.loki if answers.loki.url and answers.loki.token_file else "",
        wanted.HARDWARE_TOKEN: given.hardware if answers.hardware.url else "",
    }
    for path, secret in here.items():
        if secret:
            text = Text(path, f"{secret}\n", 0o640, Owner("root", group), secret=True, restart=True)
            yield from file(work, text)
        elif path not in _needed(work):
            yield from undoing.obsolete(work, work.book.file(path))


def _needed(work: Work) -> set[str]:
    """Files that the configuration names; one that nobody gives anew stays as it is."""
    answers = work.job.answers
    named = {
        wanted.DB_PASSWORD: answers.database.kind is Kind.MYSQL or _is_user_made(work),
        wanted.LOKI_PASSWORD: bool(answers.loki.url and answers.loki.user),
        wanted.LOKI_TOKEN: bool(answers.loki.url and answers.loki.token_file),
        wanted.HARDWARE_TOKEN: bool(answers.hardware.url and answers.hardware.token_file),
    }
    return {path for path, is_named in named.items() if is_named}


def _is_user_made(work: Work) -> bool:
    """Its password opens the history that stays on the server, and is known nowhere else."""
    return any(isinstance(record, DatabaseUser) for record in work.book.records)


def _database(work: Work) -> str:
    """What was given, else what is there, else a new one."""
    if work.job.secrets.database:
        return work.job.secrets.database
    seen = look(work.host, wanted.DB_PASSWORD)
    return seen.text.rstrip("\r\n") if seen else new_password()
