"""What a shell knows of Slurm becomes an answer, for a unit does not know it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajrd.setup.answers import SlurmAnswers
from ajrd.setup.shell import told, with_shell


@pytest.fixture
def module(tmp_path: Path) -> dict[str, str]:
    """An environment as ``module load slurm`` leaves it."""
    program = tmp_path / "scontrol"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin", "SLURM_CONF": "/cm/slurm.conf"}


def test_the_folder_and_the_file_of_a_module_are_taken(
    module: dict[str, str], tmp_path: Path
) -> None:
    known = with_shell(SlurmAnswers(), module)
    assert (known.conf, known.bin_dir) == ("/cm/slurm.conf", str(tmp_path))
    assert told(SlurmAnswers(), known) == (
        "as in this shell, slurm.conf is /cm/slurm.conf (SLURM_CONF);"
        f" Slurm's commands are in {tmp_path} (PATH)"
    )


def test_what_was_answered_counts_more(module: dict[str, str]) -> None:
    answers = SlurmAnswers(conf="/etc/slurm.conf", bin_dir="/opt/slurm/bin")
    assert with_shell(answers, module) == answers
    assert told(answers, answers) == ""


def test_commands_that_a_unit_finds_by_itself_are_no_answer() -> None:
    assert with_shell(SlurmAnswers(), {"PATH": "/usr/bin:/bin"}) == SlurmAnswers()
    assert with_shell(SlurmAnswers(), {}) == SlurmAnswers()


def test_what_is_named_from_where_the_shell_is_holds_everywhere(
    module: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = with_shell(SlurmAnswers(), {"PATH": ".", "SLURM_CONF": "slurm.conf"})
    assert (known.conf, known.bin_dir) == (str(tmp_path / "slurm.conf"), str(tmp_path))
