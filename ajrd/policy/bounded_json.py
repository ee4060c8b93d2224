"""JSON from strangers: bounded before it is parsed, and every complaint has a position.

The standard parser accepts duplicate keys, recurses once per nesting level and takes any size.
A job's comment is written by whoever submits a job, so all three are refused here.
"""

from __future__ import annotations

import json
from collections.abc import Callable

MAX_CHARS = 65536
MAX_DEPTH = 16


class JsonRefused(ValueError):
    """``reason`` says what is wrong, ``position`` is the 0-based character index of it."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at character {position}")
        self.reason = reason
        self.position = position


def parse(text: str) -> object:
    """The value that ``text`` stands for; raises :class:`JsonRefused`."""
    if len(text) > MAX_CHARS:
        raise JsonRefused(f"{len(text)} characters, more than {MAX_CHARS}", MAX_CHARS)
    _check_depth(text)
    try:
        return json.loads(text, object_pairs_hook=_unique(text), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise JsonRefused(f"not JSON: {error.msg}", error.pos) from None
    except JsonRefused:
        raise
    except ValueError as error:  # an integer of more digits than int() takes
        raise JsonRefused(f"a number is too long ({error})", 0) from None


def position_of_key(text: str, key: str) -> int:
    """Where ``key`` first stands as a quoted string, 0 if it is written with escapes."""
    return max(text.find(json.dumps(key, ensure_ascii=False)), 0)


def _check_depth(text: str) -> None:
    depth, in_string, escaped = 0, False, False
    for position, char in enumerate(text):
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise JsonRefused(f"nested deeper than {MAX_DEPTH} levels", position)
        elif char in "]}":
            depth -= 1


def _unique(text: str) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    def build(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in pairs:
            if key in result:
                again = text.rfind(json.dumps(key, ensure_ascii=False))
                raise JsonRefused(f"the key {key[:40]!r} stands twice", max(again, 0))
            result[key] = value
        return result

    return build


def _refuse_constant(name: str) -> object:
    raise JsonRefused(f"{name} is not JSON", 0)
