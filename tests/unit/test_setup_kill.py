"""A setup that is killed at any moment is completed by the next one, and a removal finds it all."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import SetupError
from ajrd.setup.book import Book
from ajrd.setup.host import Host
from ajrd.setup.remove import removal
from ajrd.setup.run import preview
from tests.unit.setup_world import HeadNode, everything

#: So many moments the normal run leaves out.
_FEW = 37


def killed_at(moment: int, work: Callable[[], object]) -> bool:
    """Does it in a process that is killed at this moment: before or after a file or a program.

    False if it came to its end before.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the other threads are pytest's own
        child = os.fork()
    if child == 0:
        _until(moment)
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def _until(moment: int) -> None:
    left = moment

    def die_if_due() -> None:
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def tick(done: Callable[..., Any]) -> Callable[..., Any]:
        def ticking(*given: Any, **more: Any) -> Any:
            die_if_due()
            answer = done(*given, **more)
            die_if_due()
            return answer

        return ticking

    for where, name in ((Host, "tried"), (os, "rename"), (os, "unlink"), (os, "chmod")):
        setattr(where, name, tick(getattr(where, name)))


def moments(full: bool) -> range:
    return range(0, 1000, 1 if full else _FEW)


def prove_setup(tmp_path: Path, *, full: bool) -> None:
    for moment in moments(full):
        node = HeadNode.make(tmp_path / str(moment))
        first = node.tree()
        if not killed_at(moment, partial(node.set_up, everything())):
            break
        if moment % 2:
            node.set_up(everything())
            assert preview(node.job(everything())) == []
        finish_removal(node)
        assert node.tree() == first
    assert moment > 50


def prove_removal(tmp_path: Path, *, full: bool) -> None:
    for moment in moments(full):
        node = HeadNode.make(tmp_path / str(moment))
        first = node.tree()
        node.set_up(everything())
        if not killed_at(moment, node.take_off):
            break
        finish_removal(node)
        assert node.tree() == first
    assert moment > 20


def finish_removal(node: HeadNode) -> None:
    """Where nothing stands in a book, it says so, and sweeps up what was not a book yet."""
    if Book.read(node.host).records:
        node.take_off()
    else:
        with pytest.raises(SetupError, match="setup has made nothing on this host"):
            removal(node.host, purge=True)


def test_a_setup_that_is_killed_leaves_nothing_unknown(tmp_path: Path, quick_disk: None) -> None:
    prove_setup(tmp_path, full=False)


def test_a_removal_that_is_killed_can_be_repeated(tmp_path: Path, quick_disk: None) -> None:
    prove_removal(tmp_path, full=False)


@pytest.mark.full
def test_a_setup_may_be_killed_at_any_moment(tmp_path: Path, quick_disk: None) -> None:
    prove_setup(tmp_path, full=True)


@pytest.mark.full
def test_a_removal_may_be_killed_at_any_moment(tmp_path: Path, quick_disk: None) -> None:
    prove_removal(tmp_path, full=True)
