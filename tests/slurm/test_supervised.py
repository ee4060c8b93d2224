"""The service and its watchdog under a service manager that listens."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.conftest import Cluster
from tests.manager import Manager, listening
from tests.service import Service, until


@pytest.fixture
def manager() -> Iterator[Manager]:
    with listening() as manager:
        yield manager


@pytest.fixture
def start(make_service: Callable[..., Service], manager: Manager) -> Callable[..., Service]:
    """Starts a service that knows the manager; two signs of life a second are wanted."""

    def start(**sections: Any) -> Service:
        service = make_service(**sections)
        service.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000")
        return service

    return start


def heard(manager: Manager, beginning: str, times: int = 1) -> list[str]:
    """Waits until that was said so often."""

    def found() -> list[str] | None:
        said = [message for message in manager.hear() if message.startswith(beginning)]
        return said if len(said) >= times else None

    return until(beginning, found)


def test_it_is_ready_gives_signs_of_life_reloads_and_stops(
    start: Callable[..., Service], manager: Manager
) -> None:
    service = start()
    heard(manager, "READY=1")
    heard(manager, "WATCHDOG=1", 2)
    heard(manager, "STATUS=leads (act): ")
    assert service.running
    service.reload()
    heard(manager, "READY=1", 2)
    service.stop()
    order = [m.partition("=")[0] for m in manager.hear() if m[:4] not in ("WATC", "STAT")]
    assert order == ["READY", "RELOADING", "READY", "STOPPING"]


def test_it_is_ready_only_when_it_has_looked_at_slurm(
    make_service: Callable[..., Service], manager: Manager, lab: Cluster
) -> None:
    """A squeue that waits to be let go keeps the first look from ending."""
    service = make_service(slurm={"backend": "cli"})
    tools = service.folder / "bin"
    tools.mkdir()
    gate = tools / "gate"
    for name in ("squeue", "scontrol"):
        real = shutil.which(name, path=lab.env["PATH"])
        wait = f"while [ ! -e {gate} ]; do sleep 0.05; done"
        tool = tools / name
        tool.write_text(f'#!/bin/sh\n{wait if name == "squeue" else ""}\nexec {real} "$@"\n')
        tool.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    service.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="100000", PATH=path)
    heard(manager, "WATCHDOG=1", 3)
    assert "READY=1" not in manager.hear()
    gate.touch()
    heard(manager, "READY=1")


def test_a_silent_slurm_is_no_reason_to_be_ended(
    make_service: Callable[..., Service], manager: Manager
) -> None:
    service = make_service(slurm={"timeout": 1.0})
    silent = service.folder / "silent.conf"
    silent.write_text(service.cluster.conf.read_text().replace("127.0.0.1", "192.0.2.1"))
    service.values["slurm"]["backend"] = "cli"
    service.values["slurm"]["conf"] = str(silent)
    service.config.write_text(yaml.safe_dump(service.values))
    service.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000")
    heard(manager, "READY=1")
    told = len(manager.hear())
    status = heard(
        manager, "STATUS=leads (act): 0 jobs watched, 0 recovering; no answer from Slurm"
    )
    heard(manager, "WATCHDOG=1", told)
    assert status


def test_the_watchdog_process_is_ready_and_lives(lab: Cluster, manager: Manager) -> None:
    argv = [sys.executable, "-m", "ajrd", "watchdog", "--slurm-conf", str(lab.conf)]
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    with subprocess.Popen(argv, env={**os.environ, **variables}, stderr=subprocess.PIPE) as process:
        heard(manager, "READY=1")
        heard(manager, "WATCHDOG=1", 2)
        process.send_signal(signal.SIGTERM)
        heard(manager, "STOPPING=1")
        process.communicate(timeout=60)
    assert process.returncode == 0
