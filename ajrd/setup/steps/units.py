"""The units: their texts, what is said besides, and their start."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ajrd.errors import SetupError
from ajrd.setup import undoing, wanted
from ajrd.setup.book import Enabled
from ajrd.setup.making import Change, Owner, Text, Work, file, look
from ajrd.setup.reach import require_reach
from ajrd.setup.steps.people import service_group
from ajrd.setup.systemd import Systemd

_OWN = "/etc/systemd/system"
_SHIPPED = ("/usr/lib/systemd/system", "/lib/systemd/system")
#: Before override.conf of `systemctl edit`, so that the site has the last word (systemd.unit(5)).
_DROP_IN = "10-setup.conf"
#: The watchdog lives before the service acts.
_ORDER = (wanted.WATCHDOG, wanted.SERVICE)


def units(work: Work) -> Iterator[Change]:
    """Units as delivered, where no package has put them, and a drop-in if there is more to say."""
    user = wanted.service_user(work.job.answers, work.job.facts)
    require_reach(work.host, user, work.job.facts.program, "the program", runs=True)
    for name in _ORDER:
        text = wanted.unit(name, work.job.facts)
        path = f"{_OWN}/{name}"
        if look(work.host, path) is not None or not _is_shipped(work, name, text):
            yield from file(work, Text(path, text, 0o644, Owner(), restart=True))
        yield from _drop_in(work, name)


def _is_shipped(work: Work, name: str, text: str) -> bool:
    found = (look(work.host, f"{folder}/{name}") for folder in _SHIPPED)
    return any(seen is not None and seen.text == text for seen in found)


def _drop_in(work: Work, name: str) -> Iterator[Change]:
    path = f"{_OWN}/{name}.d/{_DROP_IN}"
    text = wanted.drop_in(name, work.job.answers, work.job.facts, service_group(work))
    if not text:
        yield from undoing.obsolete(work, work.book.file(path), restart=True)
        return
    yield from file(work, Text(path, text, 0o644, Owner(), restart=True))


def start(work: Work) -> Iterator[Change]:
    """Both units are enabled and run, the service with what is written now."""
    if not work.job.answers.host.start:
        return
    if not work.host.has("systemctl"):
        raise SetupError("this host has no systemd to start the service with: host.start: false")
    systemd, anew = Systemd(work.host), work.book.restart or work.restarts
    if work.host.systemd and anew:
        yield Change("systemctl daemon-reload", systemd.reload)
    for name in _ORDER:
        if not systemd.is_enabled(name):
            yield Change(f"systemctl enable {name}", partial(_enable, work, name))
    if not work.host.systemd:
        return
    for name in _ORDER:
        if not systemd.is_active(name):
            yield Change(f"systemctl start {name}", partial(_start, work, name))
        elif anew:
            yield Change(f"systemctl restart {name}", partial(_restart, work, name))


def _enable(work: Work, name: str) -> None:
    made = Enabled(name)
    work.record(made, lambda: undoing.enabled(work.host, made))
    Systemd(work.host).enable(name)


def _start(work: Work, name: str) -> None:
    work.undone_by(lambda: Systemd(work.host).stop(name))
    _restart(work, name)


def _restart(work: Work, name: str) -> None:
    """With an error's last words. The service is the last: then nothing is waited for any more."""
    systemd = Systemd(work.host)
    try:
        systemd.restart(name)
    except SetupError as error:
        raise SetupError(f"{name} does not start: {error}\n{systemd.said_by(name)}") from None
    if name == wanted.SERVICE:
        work.book.mark(restart=False)
