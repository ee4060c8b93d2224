"""Lines for the journal say how grave they are; all others stay as they are."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ajrd.priority import priority

LOGGING = """
import structlog
from ajrd.config import LoggingSection
from ajrd.journal import configure
configure(LoggingSection())
log = structlog.get_logger("ajrd")
log.info("a"); log.warning("b"); log.error("c")
try:
    raise ValueError("x")
except ValueError:
    log.exception("d")
"""
WATCHDOG = 'from ajrd.watchdog import say; say("a", "info"); say("b", "warning")'


def journal_of(path: Path) -> str:
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}"


def lines(script: str, log: Path, **variables: str) -> list[str]:
    with log.open("w") as file:
        env = {**os.environ, **variables}
        subprocess.run([sys.executable, "-c", script], stderr=file, env=env, check=True)
    return log.read_text().splitlines()


@pytest.mark.parametrize(("script", "levels"), [(LOGGING, "6433"), (WATCHDOG, "64")])
def test_in_the_journal_each_line_has_its_level(script: str, levels: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    said = lines(script, log, JOURNAL_STREAM=journal_of(log))
    assert [line[:3] for line in said] == [f"<{level}>" for level in levels]
    assert [json.loads(line[3:])["event"] for line in said] == list("abcd")[: len(levels)]


def test_a_service_whose_log_goes_elsewhere_writes_plain_lines(tmp_path: Path) -> None:
    """systemd sets the variable for standard output alone, too."""
    said = lines(LOGGING, tmp_path / "log", JOURNAL_STREAM=journal_of(tmp_path))
    assert [json.loads(line)["event"] for line in said] == list("abcd")


def test_a_stream_that_is_no_file_is_not_the_journals() -> None:
    assert priority("error", io.StringIO(), {"JOURNAL_STREAM": "1:2"}) == ""
