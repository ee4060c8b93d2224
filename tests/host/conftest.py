"""The base, the package, and machines on them; all of it takes minutes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.host.base import base
from tests.host.machine import Machine, why_not
from tests.packaging.debian import build

HERE = Path(__file__).parent
#: Names a package that was built already, for whoever calls the tests again and again.
PACKAGE_VARIABLE = "AJRD_TEST_PACKAGE"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    reason = why_not() if mine and config.getoption("--full") else ""
    for item in mine:
        item.add_marker(pytest.mark.full)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def debian_base() -> Iterator[Path]:
    with base() as folder:
        yield folder


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package of this tree."""
    built = os.environ.get(PACKAGE_VARIABLE)
    return Path(built) if built else build(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def make_machine(debian_base: Path) -> Iterator[Callable[[], Machine]]:
    """Boots machines, and ends them with the module."""
    with ExitStack() as stack:

        def make() -> Machine:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ajrd-machine-"))
            machine = Machine(debian_base, Path(folder))
            stack.callback(machine.stop)
            machine.boot()
            return machine

        yield make
