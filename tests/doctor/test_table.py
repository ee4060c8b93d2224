"""The table of checks, and the documentation that is made from it."""

from __future__ import annotations

from pathlib import Path

from ajrd.doctor.check import Group
from ajrd.doctor.table import CHECKS, markdown

DOCS = Path(__file__).parents[2] / "docs" / "doctor.md"


def test_the_documentation_of_the_checks_is_up_to_date() -> None:
    assert DOCS.read_text() == markdown(), "run: python -m ajrd.doctor.table >docs/doctor.md"


def test_every_check_has_a_name_of_its_own_words_and_a_command() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert {check.group for check in CHECKS} == set(Group)
    for check in CHECKS:
        assert check.about, check.name
        assert check.mend, check.name
        assert check.judge.__doc__, check.name


def test_the_checks_of_a_group_stand_together() -> None:
    groups = [check.group for check in CHECKS]
    assert list(dict.fromkeys(groups)) == list(Group)
    assert groups == sorted(groups, key=list(Group).index)
