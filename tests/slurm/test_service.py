"""The service as a process: start, reload, stop, and what it does while something is wrong."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.conftest import Cluster
from tests.service import Service, until
from tests.slurm.jobs import REQUEUE

Make = Callable[..., Service]

#: Prints a line that only a site's own rule knows.
ODD = "#!/bin/bash\n[ $SLURM_RESTART_COUNT ] || echo 'flux capacitor overloaded'\nsleep 300\n"
RULE = """
rules:
  - {id: site.flux, kind: HARDWARE, cause: flux, role: root, recovery: requeue,
     patterns: ['flux capacitor overloaded']}
"""


def said(service: Service, event: str) -> list[dict[str, object]]:
    return [line for line in service.events() if line["event"] == event]


def with_rules(service: Service) -> Path:
    """Gives the service a folder of site rules, empty as yet."""
    folder = service.folder / "rules.d"
    folder.mkdir()
    values = yaml.safe_load(service.config.read_text())
    service.config.write_text(yaml.safe_dump(values | {"rules_dirs": [str(folder)]}))
    return folder


def test_a_signal_stops_it_in_good_order(service: Service) -> None:
    assert service.stop() == 0
    assert [line["event"] for line in service.events()][-2:] == ["stopping", "stopped"]


def test_a_second_service_on_the_same_store_is_refused(service: Service) -> None:
    done = service.ajrd("run")
    assert done.returncode == 3
    assert "another ajrd is running on this database" in done.stderr


def test_a_new_rule_is_taken_up_while_it_runs(make_service: Make) -> None:
    service = make_service()
    rules = with_rules(service)
    service.start()
    (rules / "site.yaml").write_text(RULE)
    until("the reload", lambda: said(service, "reloaded"))
    job_id = service.submit(ODD, REQUEUE)
    service.await_state(job_id, "RUNNING|None|1|")


def test_a_broken_rule_file_is_refused_and_the_running_rules_stay(make_service: Make) -> None:
    service = make_service()
    rules = with_rules(service)
    (rules / "site.yaml").write_text(RULE)
    service.start()
    (rules / "broken.yaml").write_text("rules:\n  - {id: site.bad, kind: NOISE}\n")
    refused = until("the refusal", lambda: said(service, "reload_refused"))
    assert f"{rules}/broken.yaml:2: rule site.bad" in str(refused[0]["why"])
    job_id = service.submit(ODD, REQUEUE)
    service.await_state(job_id, "RUNNING|None|1|")


def test_a_broken_configuration_is_refused_and_the_old_one_stays(service: Service) -> None:
    service.config.write_text("recovery: {mode: perhaps}\n")
    service.reload()
    until("the refusal", lambda: said(service, "reload_refused"))
    assert service.running
    job_id = service.submit(
        "#!/bin/bash\n[ $SLURM_RESTART_COUNT ] || kill -SEGV $$\nsleep 300\n", REQUEUE
    )
    service.await_state(job_id, "RUNNING|None|1|")


def test_it_starts_and_waits_while_slurm_is_away(lab: Cluster, tmp_path: Path) -> None:
    service = Service(lab, tmp_path)
    values = yaml.safe_load(service.config.read_text())
    values["slurm"] |= {"conf": str(tmp_path / "none.conf"), "timeout": 5}
    service.config.write_text(yaml.safe_dump(values))
    service.start()
    try:
        until("it to say so", lambda: said(service, "unknown"))
        assert service.running
    finally:
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
