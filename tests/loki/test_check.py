"""``ajrd loki check`` says what an administrator has to know before the service runs."""

from __future__ import annotations

import time
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from ajrd.cli.loki import loki as command
from tests.loki.double import Double
from tests.loki.shipping import Shipper
from tests.loki.world import CRASH


def check(tmp_path: Path, **loki: object) -> Result:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"loki": loki}))
    return CliRunner().invoke(command, ["check", "--config", str(file)])


def test_a_loki_with_lines_of_jobs_is_well(double: Double, tmp_path: Path) -> None:
    stamp, shipper = time.time_ns() - 10**9, Shipper(double.url)
    shipper.push({"job": "slurm"}, [(stamp, CRASH.format(1))], {"job_id": "7"})
    shipper.push({"job": "slurm"}, [(stamp, "all is well")])
    done = check(tmp_path, url=double.url)
    assert done.exit_code == 0, done.output
    assert f"{double.url}: ready, version 3.3.2" in done.output
    assert "job_id in 1" in done.output
    assert "nothing in 1" in done.output
    assert "1 of jobs, 0 of progress" in done.output


def test_lines_that_name_no_job_are_of_no_use(double: Double, tmp_path: Path) -> None:
    Shipper(double.url).push({"job": "slurm", "app": "x"}, [(time.time_ns() - 10**9, "line")])
    done = check(tmp_path, url=double.url)
    assert done.exit_code == 3
    assert 'seen: {app="x",job="slurm"' in done.output


def test_nothing_shipped_is_said_for_each_tenant(double: Double, tmp_path: Path) -> None:
    done = check(tmp_path, url=double.url, tenants=["a", "b"])
    assert done.exit_code == 3
    assert done.output.count("is anything shipped there?") == 2


def test_a_refused_user_and_a_loki_that_is_away_are_named(double: Double, tmp_path: Path) -> None:
    double.secret = "Bearer x"
    done = check(tmp_path, url=double.url)
    assert done.exit_code == 3
    assert "does not let ajrd read" in done.output
    double.stop()
    done = check(tmp_path, url=double.url)
    assert done.exit_code == 3
    assert "Cannot connect" in done.output
