"""The hooks: their files, the folders they write into, and their lines in slurm.conf."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ajrd.errors import ConfigError, SetupError
from ajrd.hooks import install
from ajrd.setup import undoing, wanted
from ajrd.setup.book import File, SlurmConf, State
from ajrd.setup.making import (
    Change,
    Owner,
    Text,
    Work,
    digest_of,
    encoded,
    file,
    look,
    look_behind,
    mended,
    put_back,
    rewrite,
    saying,
)
from ajrd.setup.named import require_unnamed
from ajrd.setup.reach import written_by_others
from ajrd.setup.slurmtools import Tools
from ajrd.setup.steps.people import service_group

_CONTROLLER = ("epilog-slurmctld", "prolog-slurmctld")
_NODES = ("epilog", "srun-prolog")


def hooks(work: Work) -> Iterator[Change]:
    """Files first, then slurm.conf: Slurm must never look for a hook that is not there."""
    where = _where(work)
    if work.job.answers.hooks.shared_dir:
        _require_safe(work, work.job.answers.hooks.shared_dir)
    for name, path in where.items():
        yield from _file(work, name, path)
    yield from _folders(work)
    yield from _lines(work, where)
    yield from _away(work, where)


def _where(work: Work) -> Mapping[str, str]:
    """The path of each hook that is wanted."""
    top = wanted.shared(work.job.answers, "hooks")
    controller = _CONTROLLER if work.job.answers.hooks.controller else ()
    nodes = _NODES if top else ()
    return {
        **{name: f"{wanted.HOOKS}/{name}" for name in controller},
        **{name: f"{top}/{name}" for name in nodes},
    }


def _require_safe(work: Work, top: str) -> None:
    """Root of every node runs what lies there: nobody else may put anything in its place."""
    for name in (top, f"{top.rstrip('/')}/hooks"):
        if where := written_by_others(work.host, name):
            raise SetupError(
                f"{where} can be written by others than root, and root of the nodes would run hooks"
                " below it: give another hooks.shared_dir"
            )


def _file(work: Work, name: str, path: str) -> Iterator[Change]:
    spool = wanted.MESSAGES
    reports = None
    if name in _NODES:
        spool = wanted.shared(work.job.answers, "messages") or spool
        reports = wanted.shared(work.job.answers, "steps")
    text = install.text_of(name, spool, reports)
    seen = look(work.host, path)
    if seen is not None and not install.is_ours(name, seen.text):
        raise SetupError(f"{path} is not ajrd's: move it away, or give another hooks.shared_dir")
    yield from file(work, Text(path, text, 0o755, Owner()))


def _folders(work: Work) -> Iterator[Change]:
    """Where the nodes' hooks write, as docs/operations.md has it."""
    user = wanted.service_user(work.job.answers, work.job.facts)
    group = service_group(work)
    for name, mode, owner in (
        ("messages", 0o3733, Owner(user, group)),
        ("steps", 0o1777, Owner()),
    ):
        path = wanted.shared(work.job.answers, name)
        if path and not work.host.path(path).is_dir():
            yield Change(
                f"make folder {path} ({mode:o} {owner})",
                partial(_make, work, path, mode, owner),
            )
        elif path and work.book.find(State(path, None)):
            yield from mended(work, path, mode, owner)


def _make(work: Work, path: str, mode: int, owner: Owner) -> None:
    made, there = State(path, None), work.host.path(path)
    work.record(made, lambda: undoing.state(work.host, made))
    with saying(f"make folder {path}"):
        there.mkdir()
        owner.give(work.host, there, mode)


def _away(work: Work, where: Mapping[str, str]) -> Iterator[Change]:
    """Hooks of an earlier run that are not wanted any more."""
    files = [
        record
        for record in work.book.records
        if isinstance(record, File)
        and Path(record.path).name in install.HOOKS
        and record.path not in where.values()
    ]
    conf = work.job.facts.slurm.conf
    ours = _known(work, conf) is not None
    require_unnamed(Tools.of(work.job), (conf,), (record.path for record in files), ours)
    for record in files:
        yield from undoing.obsolete(work, record)


# slurm.conf


def _lines(work: Work, where: Mapping[str, str]) -> Iterator[Change]:
    """ajrd's lines: those that are wanted, or none."""
    conf = work.job.facts.slurm.conf
    known = _known(work, conf)
    if not (work.job.answers.hooks.edit_slurm_conf and where):
        yield from undoing.obsolete(work, known)
        return
    seen = _read(work, conf)
    try:
        text = install.with_hooks(seen, {name: Path(path) for name, path in where.items()})
    except ConfigError as error:
        raise SetupError(f"{error}; here that is: hooks.edit_slurm_conf: false") from None
    if text != seen or (known and not known.complete):
        lines = [f"{install.HOOKS[name]}={path}" for name, path in where.items()]
        yield Change(
            "\n  ".join([f"put into {conf}:", *lines]), lambda: _edit(work, conf, seen, text)
        )
        yield Change("scontrol reconfigure", lambda: _reconfigure(work, conf))


def _known(work: Work, conf: str) -> SlurmConf | None:
    found = work.book.find(SlurmConf(conf, open_end=False))
    return found if isinstance(found, SlurmConf) else None


def _read(work: Work, conf: str) -> str:
    seen = look_behind(work.host, conf)
    if seen is None:
        raise SetupError(f"there is no {conf}, into which the lines of the hooks are to go")
    return seen.text


def _edit(work: Work, conf: str, seen: str, text: str) -> None:
    if text == seen:
        return
    with saying(f"change {conf}"):
        _keep_copy(work, conf, seen)
        known = _known(work, conf) or SlurmConf(conf, not seen.endswith("\n"))
        work.record(replace(known, complete=False), lambda: _as_before(work, conf, seen))
        rewrite(work.host, conf, text)


def _keep_copy(work: Work, conf: str, text: str) -> None:
    name = install.backup_name(conf, work.now)
    status = work.host.path(conf).stat()
    known = work.book.file(name)
    before = known.before if known else look(work.host, name)
    work.record(File(name, (digest_of(text),), before), lambda: put_back(work.host, name, before))
    mode = stat.S_IMODE(status.st_mode)
    work.host.write(name, encoded(text), mode, status.st_uid, status.st_gid)


def _as_before(work: Work, conf: str, text: str) -> None:
    """Also in slurmctld, if it listens: it may have read the lines and failed afterwards."""
    rewrite(work.host, conf, text)
    tools = Tools.of(work.job)
    tools.host.tried(tools.command("scontrol"), "reconfigure")


def _reconfigure(work: Work, conf: str) -> None:
    Tools.of(work.job).reconfigure()
    if known := _known(work, conf):
        work.book.change(replace(known, complete=True))
