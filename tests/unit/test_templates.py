"""Templates are filled with data, never with structure."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.hardware.template import NAMES, complaint, filled, filled_url, url_complaint

TEMPLATE = {"node": "{node}", "more": [{"{node}": "a {cause} b"}, 7, None, True], "{{x}}": "{{}}"}


def test_places_in_values_are_filled_at_any_depth() -> None:
    assert filled(TEMPLATE, {"node": "n1", "cause": "xid"}) == {  # type: ignore[arg-type]
        "node": "n1",
        "more": [{"{node}": "a xid b"}, 7, None, True],
        "{{x}}": "{}",
    }


@given(st.text(), st.text())
def test_whatever_is_filled_in_comes_back_out_of_the_json(node: str, cause: str) -> None:
    sent = json.loads(json.dumps(filled(["{node}", "{cause}"], {"node": node, "cause": cause})))
    assert sent == [node, cause]


@given(st.text())
def test_whatever_is_filled_in_stays_in_its_part_of_the_url(node: str) -> None:
    url = filled_url("https://h.example.org:8443/v1/{node}/x?n={node}", {"node": node})
    parts = urlsplit(url)
    assert parts.netloc == "h.example.org:8443"
    folders = parts.path.split("/")
    assert len(folders) == 4
    assert unquote(folders[2], errors="replace") == node.encode("utf-8", "replace").decode()
    assert url.isascii()
    assert ".." not in parts.path


@pytest.mark.parametrize(
    "template", ["{nod}", "{node.__class__}", "{0}", "{", "}", "{node!r}", "{node:>9}", "{}"]
)
def test_only_known_names_are_places(template: str) -> None:
    assert "is no place to fill" in complaint({"a": [template]})


def test_what_is_doubled_is_a_brace() -> None:
    assert complaint("{{node}} {node}") == ""
    assert filled("{{node}} {node}", {"node": "n1"}) == "{node} n1"


def test_the_host_of_a_url_cannot_be_filled_in() -> None:
    assert "host" in url_complaint("https://{node}.example.org/x", NAMES)
    assert url_complaint("https://example.org/{node}", NAMES) == ""
