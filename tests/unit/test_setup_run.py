"""A head node is set up and left as it was: whatever was wanted, and whatever failed or died."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import SetupError
from ajrd.setup import run, wanted
from ajrd.setup.answers import Answers
from ajrd.setup.book import BOOK, Book, Record
from ajrd.setup.run import preview
from ajrd.setup.steps import STEPS
from ajrd.yamlmodel import validated
from tests.unit.setup_world import HeadNode, Tree, everything

#: Several sites: what each answers.
SITES: dict[str, dict[str, Any]] = {
    "observer": {},
    "actor": {
        "recovery": {"mode": "act", "partitions": ["main"]},
        "slurm": {"rights": "accounting", "conf": "/etc/slurm/slurm.conf"},
        "hooks": {"controller": True, "edit_slurm_conf": True},
    },
    "slurm-user": {
        "slurm": {"rights": "slurm-user"},
        "recovery": {"mode": "act"},
        "hooks": {"shared_dir": "/shared/ajrd", "edit_slurm_conf": True},
        "hardware": {"url": "https://hw.example.org/{node}"},
    },
    "all hooks, nothing started": {
        "hooks": {"controller": True, "shared_dir": "/shared/ajrd", "edit_slurm_conf": True},
        "host": {"start": False},
    },
}
EVERY_SITE = pytest.mark.parametrize("site", SITES)


#: Each call of a program fails once; the normal run leaves most of them out.
FEW_OR_ALL = pytest.mark.parametrize(
    "stride",
    [pytest.param(4, id="some calls"), pytest.param(1, id="each call", marks=pytest.mark.full)],
)


@pytest.fixture
def node(tmp_path: Path, quick_disk: None) -> HeadNode:
    return HeadNode.make(tmp_path)


def answers(site: str) -> Answers:
    return Answers.model_validate(SITES[site])


@EVERY_SITE
def test_from_nothing_to_a_service_and_back(node: HeadNode, site: str) -> None:
    wanted_by_site = answers(site)
    before = node.tree()
    planned = [each for step in preview(node.job(wanted_by_site)) for each in step.changes]
    assert (node.tree(), node.told()) == (before, []), "a preview changes nothing"
    assert heads(node.set_up(wanted_by_site)) == heads(planned), "and says all that is done"

    whole = node.tree()
    node.told()
    assert preview(node.job(wanted_by_site)) == []
    assert node.set_up(wanted_by_site) == []
    assert (node.tree(), node.told()) == (whole, []), "a second run has nothing to do"
    assert preview(node.job(kept_by(node))) == [], "nor has one with the answers that were kept"

    node.take_off()
    assert node.tree() == before


def heads(said: list[str]) -> list[str]:
    """Without the differences of files: the number of a new user stands in one of them."""
    return [change.splitlines()[0] for change in said]


def kept_by(node: HeadNode) -> Answers:
    return validated(node.read(wanted.ANSWERS), wanted.ANSWERS, Answers)


def test_two_setups_do_not_meet(node: HeadNode) -> None:
    with node.host.alone(), pytest.raises(SetupError, match="another setup or uninstall"):
        node.set_up(everything())
    node.set_up(everything())
    with node.host.alone(), pytest.raises(SetupError, match="another setup or uninstall"):
        node.take_off()


def test_nobody_but_root_can_keep_root_from_it(node: HeadNode) -> None:
    """A user can lock a file that he can open: /etc, for example."""
    with node.host.path("/etc/passwd").open() as file, closing_fd("/etc", node) as folder:
        for descriptor in (file.fileno(), folder):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with node.host.alone():
            (lock,) = node.host.path("/run").glob("ajrd-*")
            assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert not lock.exists()


@contextmanager
def closing_fd(name: str, node: HeadNode) -> Iterator[int]:
    descriptor = os.open(node.host.path(name), os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


# What fails


def before_the_step_that_fails(node: HeadNode) -> tuple[Tree, tuple[Record, ...]] | None:
    """A run, as far as it comes: the tree and the book by then. None: it came to its end."""
    work = run.begin(node.job(everything()))
    for name in STEPS:
        before = node.tree(), Book.read(node.host).records
        try:
            run.do(work, name, lambda _said: None)
        except SetupError:
            return before
    return None


@FEW_OR_ALL
def test_a_step_that_fails_is_taken_back_and_the_next_run_goes_on(
    tmp_path: Path, quick_disk: None, stride: int
) -> None:
    for number in range(0, 100, stride):
        node = HeadNode.make(tmp_path / str(number))
        first = node.tree()
        node.fail_at(number)
        before = before_the_step_that_fails(node)
        if before is not None:
            assert without_book(node.tree()) == without_book(before[0])
            assert Book.read(node.host).records == before[1]
        if node.calls() <= number:
            break
        node.fail_at(-1)
        if number % 2:
            node.set_up(everything())
            assert preview(node.job(everything())) == []
        node.take_off()
        assert node.tree() == first
    assert number > 10


@FEW_OR_ALL
def test_a_removal_that_fails_can_be_repeated(
    tmp_path: Path, quick_disk: None, stride: int
) -> None:
    for number in range(0, 100, stride):
        node = HeadNode.make(tmp_path / str(number))
        first = node.tree()
        node.set_up(everything())
        node.fail_at(number)
        with suppress(SetupError):
            node.take_off()
        if node.calls() <= number:
            break
        node.fail_at(-1)
        if node.tree() != first:
            node.take_off()
        assert node.tree() == first
    assert number > 5


def without_book(tree: Tree) -> Tree:
    """The book may note after a failure that a restart is due."""
    return {name: looks for name, looks in tree.items() if name != BOOK.removeprefix("/")}
