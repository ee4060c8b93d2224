"""A head node is set up and left as it was: whatever was wanted, and whatever failed or died."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from ajrd.errors import SetupError
from ajrd.setup import run, wanted
from ajrd.setup.answers import Answers
from ajrd.setup.book import BOOK
from ajrd.setup.run import preview
from ajrd.setup.steps import STEPS
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
        "host": {"start": False, "uid": os.getuid() or 1},
    },
}
EVERY_SITE = pytest.mark.parametrize("site", SITES)


@pytest.fixture
def node(tmp_path: Path) -> HeadNode:
    return HeadNode.make(tmp_path)


def answers(site: str) -> Answers:
    given = Answers.model_validate(SITES[site])
    if os.getuid() == 0:  # whose number no user can have
        given = given.model_copy(update={"host": given.host.model_copy(update={"uid": None})})
    return given


@EVERY_SITE
def test_after_setup_and_purge_everything_is_as_before(node: HeadNode, site: str) -> None:
    before = node.tree()
    node.set_up(answers(site))
    assert node.tree() != before
    node.take_off()
    assert node.tree() == before


@EVERY_SITE
def test_the_second_run_has_nothing_to_do(node: HeadNode, site: str) -> None:
    node.set_up(answers(site))
    before = node.tree()
    node.told()
    assert preview(node.job(answers(site))) == []
    assert node.set_up(answers(site)) == []
    assert (node.told(), node.tree()) == ([], before)


@EVERY_SITE
def test_the_kept_answers_ask_for_the_same(node: HeadNode, site: str) -> None:
    node.set_up(answers(site))
    kept = Answers.model_validate(yaml.safe_load(node.read(wanted.ANSWERS)) or {})
    if os.getuid() == 0:
        kept = kept.model_copy(update={"host": kept.host.model_copy(update={"uid": None})})
    assert preview(node.job(kept)) == []


@EVERY_SITE
def test_a_preview_says_it_all_and_changes_nothing(node: HeadNode, site: str) -> None:
    before = node.tree()
    planned = [change for step in preview(node.job(answers(site))) for change in step.changes]
    assert node.tree() == before
    assert node.told() == []
    done = node.set_up(answers(site))
    assert done == planned


# What fails


def tree_before_the_step_that_fails(node: HeadNode) -> Tree | None:
    """A run, as far as it comes; None: to its end."""
    work = run.begin(node.job(everything()))
    for name in STEPS:
        before = node.tree()
        try:
            run.do(work, name, lambda _said: None)
        except SetupError:
            return before
    return None


def test_a_step_that_fails_is_taken_back_and_the_next_run_goes_on(tmp_path: Path) -> None:
    for number in range(100):
        node = HeadNode.make(tmp_path / str(number))
        first = node.tree()
        node.fail_at(number)
        before = tree_before_the_step_that_fails(node)
        if before is not None:
            assert without_book(node.tree()) == without_book(before)
        if node.calls() <= number:
            break
        node.fail_at(-1)
        node.set_up(everything())
        assert preview(node.job(everything())) == []
        node.take_off()
        assert node.tree() == first
    assert number > 10


def test_a_removal_that_fails_can_be_repeated(tmp_path: Path) -> None:
    for number in range(100):
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
