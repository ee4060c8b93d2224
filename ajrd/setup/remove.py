"""Taking ajrd off a host again: what stands in the book of setup, and nothing else.

Without a purge everything that runs goes, and what people have put in stays: configuration,
secrets, rules, history, and the users to whom that belongs. Each thing leaves the book once it is
gone, so that a removal which fails can be repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ajrd.detect import kept
from ajrd.errors import AjrdError, SetupError
from ajrd.hooks.install import HOOKS
from ajrd.setup import undoing, wanted
from ajrd.setup.answers import Answers
from ajrd.setup.book import (
    Book,
    DatabaseUser,
    Enabled,
    File,
    Folder,
    MadeDatabase,
    Record,
    SlurmAccount,
    SlurmConf,
    State,
    SystemUser,
    clear,
)
from ajrd.setup.host import Host
from ajrd.setup.making import digest_of, look
from ajrd.setup.named import USUAL, require_unnamed
from ajrd.setup.slurmtools import Tools
from ajrd.setup.steps import people
from ajrd.setup.systemd import Systemd
from ajrd.store.address import Address, Tls
from ajrd.store.administration import Admin
from ajrd.store.founding import examine
from ajrd.yamlmodel import validated

#: What a removal without a purge leaves.
_DATA = (State, SystemUser, MadeDatabase, DatabaseUser)


@dataclass(frozen=True, slots=True)
class Removal:
    """What will go and what will stay, and why; ``goes`` in the order in which it does."""

    goes: tuple[Record, ...]
    stays: tuple[tuple[Record, str], ...]
    purge: bool
    pair: bool
    changed: frozenset[str]

    def said(self) -> Iterator[str]:
        """A line for each thing that goes."""
        for record in self.goes:
            match record:
                case File(path) if path in self.changed:
                    yield f"{undoing.words(record)} (changed by somebody since)"
                case MadeDatabase() if self.pair:
                    yield f"{undoing.words(record)}; the other head node loses it, too"
                case Folder():
                    yield f"{undoing.words(record)}, if nothing else is in it"
                case _:
                    yield undoing.words(record)

    def needs_admin(self) -> bool:
        """Does something go from a database's server?"""
        return any(isinstance(record, MadeDatabase | DatabaseUser) for record in self.goes)


def removal(host: Host, *, purge: bool, keep_database: bool = False) -> Removal:
    """What a removal would do; raises SetupError if setup has made nothing on this host."""
    book = Book.read(host)
    if not book.records:
        with host.alone():
            clear(host)
        raise SetupError(
            "setup has made nothing on this host. A package is removed by: apt-get purge ajrd;"
            " what was installed by hand, as the end of docs/quickstart.md tells"
        )
    changed = frozenset(
        record.path for record in book.records if isinstance(record, File) and _edited(host, record)
    )
    answers = _answers(host)
    pair, tools = answers.host.pair, Tools.named(host, answers)

    def why_stays(record: Record) -> str:
        if isinstance(record, SlurmAccount) and not host.has(tools.command("sacctmgr")):
            return f"no sacctmgr on this host; where there is one: {undoing.by_hand(record)}"
        if keep_database and isinstance(record, MadeDatabase | DatabaseUser):
            return "--keep-database"
        return "" if purge else _why_stays(record, changed, pair=pair)

    verdicts = [(record, why_stays(record)) for record in book.records]
    goes = sorted((r for r, why in reversed(verdicts) if not why), key=_turn)
    stays = tuple((record, why) for record, why in verdicts if why)
    return Removal(tuple(goes), stays, purge, pair, changed)


def _edited(host: Host, record: File) -> bool:
    """Is it neither what setup wrote, nor what was before, nor gone?"""
    try:
        seen = look(host, record.path)
    except SetupError:  # a link, for example, to where the site keeps such files
        return True
    if seen is None or digest_of(seen.text) in record.sha256:
        return False
    return record.before is None or seen.text != record.before.text


def _why_stays(record: Record, changed: frozenset[str], *, pair: bool) -> str:
    """Why a thing stays without a purge, "" if it goes."""
    if pair and _is_for_both(record):
        return "the other head node needs it: --purge"
    if isinstance(record, _DATA) or getattr(record, "path", "") == people.OWN:
        return "history and its owner: --purge"
    if isinstance(record, File) and record.path in changed:
        return "changed by somebody since: --purge"
    if isinstance(record, File | Folder) and _is_word_of_people(record.path):
        return "configuration: --purge"
    return ""


def _is_for_both(record: Record) -> bool:
    """Rights in Slurm and the hooks, all of which slurm.conf names, serve both of a pair."""
    if isinstance(record, File):
        return Path(record.path).name in HOOKS
    return isinstance(record, SlurmConf | SlurmAccount)


def _is_word_of_people(path: str) -> bool:
    return path == wanted.HOME or (
        path.startswith(f"{wanted.HOME}/") and not path.startswith(wanted.HOOKS)
    )


def _turn(record: Record) -> int:
    """Units end first, Slurm forgets the hooks before they go, and a user goes after its files."""
    match record:
        case Enabled():
            return 0
        case SlurmConf():
            return 1
        case SystemUser():
            return 3
        case Folder(path) if path == wanted.HOME:
            return 4
        case _:
            return 2


def others_in(host: Host, plan: Removal) -> list[str]:
    """Files that setup has not made, in folders that go: they stay, and the folders with them."""
    mine = {record.path for record in plan.goes if isinstance(record, File | Folder | State)}
    mine |= {record.path for record, _ in plan.stays if isinstance(record, File | Folder | State)}
    mine.add(f"{wanted.HOME}/setup-made.json")
    found = []
    for record in plan.goes:
        if isinstance(record, Folder) and host.path(record.path).is_dir():
            below = (f"{record.path}/{name.name}" for name in host.path(record.path).iterdir())
            found += sorted(name for name in below if name not in mine)
    return found


def require_admin(plan: Removal, admin: Admin) -> None:
    """Raises AjrdError, before anything is gone, if the database's things could not be dropped.

    Nor are they if somebody else has put tables there since.
    """
    records = [r for r in plan.goes if isinstance(r, MadeDatabase | DatabaseUser)]
    databases = {record.url for record in records if isinstance(record, MadeDatabase)}
    for url, ca in {record.url: record.ca for record in records}.items():
        found = examine(Address(url, tls=Tls(ca=ca)), admin)
        if found.missing:
            raise SetupError(
                f"this administrator of the database lacks rights: {', '.join(found.missing)}"
            )
        if found.others and url in databases:
            raise SetupError(
                f"the database of {url} holds tables that are not ajrd's"
                f" ({', '.join(found.others[:5])}): take them elsewhere, or leave it by"
                " --keep-database"
            )


def remove(host: Host, plan: Removal, admin: Admin, tell: Callable[[str], None]) -> None:
    """Does it; raises AjrdError where it stops, and what is gone by then is gone."""
    with host.alone():
        _remove(host, plan, admin, tell)


def _remove(host: Host, plan: Removal, admin: Admin, tell: Callable[[str], None]) -> None:
    answers = _answers(host)
    tools, book = Tools.named(host, answers), Book.read(host)
    _require_unnamed(tools, answers, plan)
    _stop(host, answers, plan, tell)
    for record in plan.goes:
        if record == Folder(wanted.HOME):  # it goes with the book, or stays with files of others
            continue
        try:
            undoing.take_back(record, host, tools, admin)
        except AjrdError as error:
            raise SetupError(
                f"cannot take back {undoing.words(record)}: {error}; what stood before it in the"
                " list is gone, the rest can be removed by a repetition"
            ) from error
        if _is_left(host, record):
            tell(f"left {undoing.words(record)}: something is in it")
            if not plan.purge:  # what stays may go later, and this with it
                continue
        else:
            tell(f"removed {undoing.words(record)}")
        book.drop(record)
        if isinstance(record, File) and record.path.startswith("/etc/systemd/"):
            Systemd(host).reload()
    if plan.purge:  # what stays now is nobody's to take away later
        for record, _ in plan.stays:
            book.drop(record)
    book.close()
    shutil.rmtree(host.path(kept.ROOTS), ignore_errors=True)
    if Folder(wanted.HOME) in plan.goes:
        left = host.path(wanted.HOME).exists()
        tell(f"left {wanted.HOME}: something is in it" if left else f"removed {wanted.HOME}")


def _require_unnamed(tools: Tools, answers: Answers, plan: Removal) -> None:
    """Raises SetupError, before anything is gone, if Slurm would miss a hook."""
    hooks = (r.path for r in plan.goes if isinstance(r, File) and Path(r.path).name in HOOKS)
    ours = [record.path for record in plan.goes if isinstance(record, SlurmConf)]
    require_unnamed(tools, (*ours, answers.slurm.conf or USUAL), hooks, bool(ours))


def _is_left(host: Host, record: Record) -> bool:
    return isinstance(record, Folder) and host.path(record.path).exists()


def _answers(host: Host) -> Answers:
    """Those of the last setup: the way to Slurm, and whether another head node relies on things.

    Raises SetupError for what is not understood: on a pair a guess could take them from it.
    """
    try:
        seen = look(host, wanted.ANSWERS)
        return validated(seen.text if seen else "", wanted.ANSWERS, Answers)
    except AjrdError as error:
        raise SetupError(
            f"{error}. They tell what of ajrd another head node needs; nothing is removed yet: mend"
            f" {wanted.ANSWERS}, or move it away if there is no such head node"
        ) from None


# Nothing of ajrd's may hold a job when it is gone


def _stop(host: Host, answers: Answers, plan: Removal, tell: Callable[[str], None]) -> None:
    """The service ends, then the holds that it may have left, and the watchdog last."""
    systemd, units = Systemd(host), set(_units(plan))
    ends = units | ({wanted.SERVICE, wanted.WATCHDOG} if _loses_configuration(plan) else set())
    if wanted.SERVICE in ends and systemd.is_active(wanted.SERVICE):
        systemd.stop(wanted.SERVICE)
        tell(f"stopped {wanted.SERVICE}")
    if wanted.WATCHDOG in ends and host.systemd:
        watched = systemd.is_active(wanted.WATCHDOG)
        if not answers.host.pair:
            _release(host, answers, watched, tell)
        if watched:
            systemd.stop(wanted.WATCHDOG)
            tell(f"stopped {wanted.WATCHDOG}")
    for unit in (wanted.SERVICE, wanted.WATCHDOG):
        if unit in units:
            systemd.disable(unit)


def _loses_configuration(plan: Removal) -> bool:
    """Then it ends, whoever has started it."""
    return any(isinstance(record, File) and record.path == wanted.CONFIG for record in plan.goes)


def _units(plan: Removal) -> Iterator[str]:
    """Units that setup has enabled, and those whose text goes."""
    for record in plan.goes:
        match record:
            case Enabled(unit):
                yield unit
            case File(path) if Path(path).parent == Path("/etc/systemd/system"):
                yield Path(path).name
            case _:
                pass


def _release(host: Host, answers: Answers, watched: bool, tell: Callable[[str], None]) -> None:
    """Every hold of ajrd's ends now. On a pair they are those of the other head node as well.

    While a watchdog runs, which would end them later, this must succeed; else it is all there is.
    """
    words = ["watchdog", "--once", "--hold-limit", "0", "--grace", "0"]
    if answers.slurm.conf:
        words += ["--slurm-conf", answers.slurm.conf]
    if answers.slurm.bin_dir:
        words += ["--bin-dir", answers.slurm.bin_dir]
    try:
        host.run(_program(host), *words)
    except SetupError as error:
        if not watched:
            tell(f"Look for jobs that ajrd holds (squeue -t PD -o '%i %r'): {error}")
            return
        raise SetupError(
            "Slurm does not answer, so nobody knows whether a job is held by ajrd, whose watchdog"
            " still runs: again when it does. If this Slurm is gone for good:"
            f" systemctl stop {wanted.WATCHDOG}. It said: {str(error)[-500:]}"
        ) from None


def _program(host: Host) -> str:
    """The program that the unit of the watchdog names."""
    for folder in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"):
        with suppress(SetupError):  # masked
            seen = look(host, f"{folder}/{wanted.WATCHDOG}")
            for line in seen.text.splitlines() if seen else ():
                if line.startswith("ExecStart=/"):
                    return line.removeprefix("ExecStart=").split()[0]
    return str(Path("/usr/bin/ajrd"))
