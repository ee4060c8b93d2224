"""``ajrd setup`` as an administrator meets it: on a terminal, and without one."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from ajrd.cli.setup import setup
from ajrd.errors import ConfigError, SetupError
from tests.asking.pty_child import on_terminal
from tests.conftest import Cluster
from tests.database.server import Schema

ARGV = (sys.executable, "-m", "ajrd", "setup")
#: The questions of the simple case, as they stand on the terminal.
SIMPLE = (
    "Mode (observe, act) [observe]: ",
    "Partitions in which it may act [all]: ",
    "Kind of database (sqlite, mysql) [sqlite]: ",
    "URL of Loki, if logs are shipped there [none]: ",
    "URL to which suspected nodes are reported [none]: ",
    "ADDRESS:PORT to listen on, besides its socket [no TCP]: ",
    "Users who may see and steer all jobs [root]: ",
    "Hooks of slurmctld, which tell of ends at once [y]: ",
    "Folder shared with the nodes, for their hooks [none]: ",
    "Put the lines into slurm.conf, and reconfigure [n]: ",
    "Enable and start the service [y]: ",
)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or Path("/etc/ajrd").exists(),
    reason="needs root on a host without ajrd",
)


@pytest.fixture
def environ(lab: Cluster) -> Iterator[dict[str, str]]:
    """Commands reach the lab, and there is an ajrd that everybody may start."""
    with tempfile.TemporaryDirectory(prefix="ajrd-bin-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "ajrd").write_text("#!/bin/sh\necho ajrd, version 0\n")
        (folder / "ajrd").chmod(0o755)
        path = os.pathsep.join([name, lab.env["PATH"]])
        yield {**lab.env, "PATH": path, "TERM": "xterm", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}


def test_a_dry_run_of_the_simple_case(environ: dict[str, str]) -> None:
    with on_terminal([*ARGV, "--dry-run"], environ) as terminal:
        for question in SIMPLE:
            terminal.await_words(question)
            terminal.type("")
        terminal.await_words("write /etc/ajrd/config.yaml (0640 root:ajrd)")
        terminal.await_words("+  mode: observe")
        terminal.await_words("This was a dry run: nothing was changed.")
        assert terminal.end() == 0
    assert not Path("/etc/ajrd").exists()


def test_a_secret_is_not_shown_while_it_is_typed(environ: dict[str, str], mysql: Schema) -> None:
    with on_terminal(ARGV, environ) as terminal:
        for question in SIMPLE[:2]:
            terminal.await_words(question)
            terminal.type("")
        terminal.await_words(SIMPLE[2])
        terminal.type("mysql")
        for question, answer in (
            ("Does a second head node run ajrd on it, too [n]: ", ""),
            ("Host of the server [localhost]: ", "127.0.0.1"),
            ("Its port [3306]: ", str(mysql.server.port)),
            ("(TLS) [no TLS]: ", ""),
            ("Name of the database [ajrd]: ", ""),
            ("User of the service in it [ajrd]: ", ""),
            ("if it exists [none]: ", ""),
            ("User for Grafana, read-only [none]: ", ""),
            ("for this run alone [root]: ", ""),
            ("Password of the administrator [none]: ", "correct horse"),
        ):
            terminal.await_words(question)
            terminal.type(answer)
        terminal.await_words("database.admin_password_file: the server at 127.0.0.1:")
        terminal.await_words("Kind of database (sqlite, mysql) [mysql]: ")
        terminal.interrupt("Nothing was changed.")
        assert terminal.end() == 130
    assert "horse" not in terminal.screen
    assert "127.0.0.1" in terminal.screen
    assert not Path("/etc/ajrd").exists()


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command without a terminal."""
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    return lambda *argv: CliRunner().invoke(setup, argv)


def test_without_a_terminal_it_wants_answers() -> None:
    done = CliRunner().invoke(setup, [])
    assert done.exit_code == 2
    assert "there is no terminal to ask on: give the answers by --answers FILE" in done.output


def test_answers_of_a_file_are_tried_before_anything_is_changed(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    answers = {"recovery": {"partitions": ["gone"]}, "loki": {"url": "http://127.0.0.1:1"}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(answers))
    done = run("--answers", str(tmp_path / "a.yaml"))
    assert done.exit_code == 3
    assert "fail  recovery.partitions: Slurm knows no partition gone" in done.output
    assert "fail  loki.url: " in done.output
    assert done.output.endswith("Nothing was changed.\n")
    assert not Path("/etc/ajrd").exists()


def test_what_would_be_changed_is_shown_without_a_terminal(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("")
    done = run("--answers", str(tmp_path / "a.yaml"), "--dry-run")
    assert done.exit_code == 0, done.output
    assert "+  mode: observe" in done.output
    assert "\x1b" not in done.output
    assert not Path("/etc/ajrd").exists()


def test_answers_that_cannot_be_understood(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("recovery: {mode: attack}\n")
    error = CliRunner().invoke(setup, ["--answers", str(file)]).exception
    assert isinstance(error, ConfigError)
    assert f"{file}:1: recovery.mode: " in str(error)


def test_only_root_can_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    error = CliRunner().invoke(setup, []).exception
    assert isinstance(error, SetupError)
    assert "run it as root (sudo ajrd setup)" in str(error)
