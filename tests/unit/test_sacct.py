"""What sacct prints, and what it may not do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ajrd.errors import SlurmUnavailable
from ajrd.slurm.accounting import Execution, Sacct, executions

SEP = "<a1b2>"


def line(*fields: str) -> str:
    return SEP.join(fields) + "\n"


def second(number: int) -> datetime:
    return datetime.fromtimestamp(number, UTC)


def test_executions_that_are_over_are_read() -> None:
    text = line("7", "1000", "1100") + line("7", "1200", "Unknown") + line("8", "None", "1500")
    assert executions(text, SEP) == [Execution(7, second(1000), second(1100))]


def test_a_line_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="values to unpack"):
        executions(line("7", "1000"), SEP)


async def test_no_sacct_is_no_accounting() -> None:
    with pytest.raises(SlurmUnavailable, match="cannot run"):
        await Sacct(bin_dir="/nonexistent").executions([7])
