"""Columns that are aligned whatever script a name is written in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.cli.table import NARROW, columns, cut, fitted, padded, taken, width
from ajrd.text import printable


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [width(text) for text in ("abc", "学習", "e\u0301", "ﾊﾝ", "Ｆ")] == [3, 4, 1, 2, 2]


def test_cells_below_each_other_begin_at_the_same_column() -> None:
    lines = columns(("NAME", "USER"), [("学習ジョブ", "ada"), ("x", "bob")])
    before = [
        line[: line.index(word)] for line, word in zip(lines, ("U", "ada", "bob"), strict=True)
    ]
    assert [width(text) for text in before] == [12, 12, 12]


@given(st.text(), st.integers(1, 30), st.booleans())
def test_a_padded_cell_has_its_width(text: str, columns: int, right: bool) -> None:
    assert width(padded(printable(text), columns, right=right)) == columns


@given(st.text(max_size=20), st.integers(1, 30))
def test_what_fits_is_not_cut(text: str, columns: int) -> None:
    shown = cut(printable(text), columns)
    assert (shown == printable(text)) is (width(printable(text)) <= columns)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(10, 200))
def test_elastic_columns_give_way_as_far_as_they_can(widths: list[int], room: int) -> None:
    elastic = list(range(0, len(widths), 2))
    narrowed = fitted(widths, elastic, room)
    rigid = [narrowed[i] == widths[i] for i in range(len(widths)) if i not in elastic]
    assert all(rigid)
    assert taken(narrowed) <= room or all(
        narrowed[i] <= NARROW or narrowed[i] == widths[i] for i in elastic
    )
    assert narrowed == widths or taken(widths) > room


@pytest.mark.parametrize(
    ("text", "columns", "shown"), [("学習", 3, "学…"), ("学習", 2, "…"), ("", 0, "")]
)
def test_a_wide_character_is_not_split(text: str, columns: int, shown: str) -> None:
    assert cut(text, columns) == shown
