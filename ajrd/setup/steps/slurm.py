"""What the service may do in Slurm, by its accounting."""

from __future__ import annotations

from collections.abc import Iterator

from ajrd.errors import SetupError
from ajrd.setup import undoing, wanted
from ajrd.setup.answers import Rights
from ajrd.setup.book import SlurmAccount
from ajrd.setup.making import Change, Work
from ajrd.setup.slurmtools import Tools

_ENOUGH = "Administrator"


def rights(work: Work) -> Iterator[Change]:
    """The service's user becomes an Administrator, where that is asked for."""
    tools = Tools.of(work.job)
    known = work.book.find(SlurmAccount(wanted.USER, ""))
    if work.job.answers.slurm.rights is not Rights.ACCOUNTING:
        yield from undoing.obsolete(work, known)
        return
    level = tools.level_of(wanted.USER)
    if level == _ENOUGH:
        return
    words = giving(level)
    made = SlurmAccount(wanted.USER, level)
    yield Change(f"sacctmgr -i {' '.join(words)}", lambda: _give(work, tools, made, words))


def giving(level: str) -> list[str]:
    """What sacctmgr is told, for a user of this level; "": one that it does not know."""
    name = wanted.USER
    if level:
        return ["modify", "user", "where", f"name={name}", "set", f"adminlevel={_ENOUGH}"]
    return ["add", "user", name, "account=root", f"adminlevel={_ENOUGH}"]


def _give(work: Work, tools: Tools, made: SlurmAccount, words: list[str]) -> None:
    known = work.book.find(made)
    first = known if isinstance(known, SlurmAccount) else made
    work.record(first, lambda: undoing.slurm_account(tools, made))
    tools.account(*words)
    if tools.level_of(made.name) != _ENOUGH:
        raise SetupError(f"sacctmgr says nothing, and {made.name} is no {_ENOUGH} yet")
