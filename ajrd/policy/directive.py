"""The owner's wish in the job comment: ``{"APS": {"auto_resume_mode": "requeue", …}}``.

A comment without the key ``APS`` asks for nothing. A comment that has it but is malformed in
any way asks for something that cannot be known, so the job is left alone and told why, with
the position in the JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.model import Directive, ResumeMode
from ajrd.policy.bounded_json import JsonRefused, parse, position_of_key

KEY = "APS"
#: Above this a number is a slip, not a wish, and is refused; between the site's ceiling and
#: this it is lowered to the ceiling.
ABSURD_REQUEUE_TIMES = 1000
MAX_LOG_PATHS = 32
MAX_PATH_CHARS = 4096

MAX_PATTERN_CHARS = 256

_KNOWN = frozenset(
    {
        "auto_resume_mode",
        "max_requeue_times",
        "log_paths",
        "exclude_nodes",
        "resume_on",
        "progress",
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The site's default and ceiling for ``max_requeue_times``."""

    default_requeue_times: int = 3
    ceiling: int = 10


@dataclass(frozen=True, slots=True)
class NotManaged:
    """No directive, or an unusable one. ``malformed`` tells a slip from plain absence.

    ``position`` is the 0-based character index in the comment, None when nothing is wrong.
    """

    reason: str
    malformed: bool = False
    position: int | None = None

    def __str__(self) -> str:
        where = "" if self.position is None else f" (character {self.position} of the comment)"
        return self.reason + where


class _Slip(Exception):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.reason = reason


def parse_directive(comment: str, limits: Limits) -> Directive | NotManaged:
    """Reads a job comment; never raises."""
    if KEY not in comment:
        return NotManaged('the job comment has no "APS" directive')
    try:
        value = parse(comment)
    except JsonRefused as error:
        return NotManaged(f"malformed directive: {error.reason}", True, error.position)
    if not isinstance(value, dict) or KEY not in value:
        return NotManaged('the job comment has no "APS" key at its top level')
    try:
        return _read(value[KEY], limits)
    except _Slip as slip:
        path = KEY if slip.key == KEY else f"{KEY}.{slip.key}"
        where = position_of_key(comment, slip.key)
        return NotManaged(f"malformed directive: {path} {slip.reason}", True, where)


def _read(aps: object, limits: Limits) -> Directive | NotManaged:
    if not isinstance(aps, dict):
        raise _Slip(KEY, f"must be an object, not {_json_type(aps)}")
    if "auto_resume_mode" not in aps:
        return NotManaged("the directive has no auto_resume_mode: nothing is asked for")
    times, notes = _requeue_times(aps.get("max_requeue_times"), limits)
    unknown = sorted(str(key)[:40] for key in aps if key not in _KNOWN)[:8]
    if unknown:
        notes += (f"ignored, not known to this version: {', '.join(unknown)}",)
    return Directive(
        mode=_mode(aps["auto_resume_mode"]),
        max_requeue_times=times,
        log_paths=_strings(aps, "log_paths", MAX_LOG_PATHS, MAX_PATH_CHARS),
        exclude_nodes=_flag(aps, "exclude_nodes"),
        resume_on=frozenset(_strings(aps, "resume_on", 32, 64)),
        progress="".join(_strings(aps, "progress", 1, MAX_PATTERN_CHARS)),
        notes=notes,
    )


def _mode(value: object) -> ResumeMode:
    if not isinstance(value, str):
        raise _Slip("auto_resume_mode", f"must be a string, not {_json_type(value)}")
    try:
        return ResumeMode(value)
    except ValueError:
        known = " or ".join(f'"{mode}"' for mode in ResumeMode)
        raise _Slip("auto_resume_mode", f"is {value[:40]!r}; it must be {known}") from None


def _requeue_times(value: object, limits: Limits) -> tuple[int, tuple[str, ...]]:
    key = "max_requeue_times"
    if value is None:
        return min(limits.default_requeue_times, limits.ceiling), ()
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Slip(key, f"must be a whole number, not {_json_type(value)}")
    if value < 0:
        raise _Slip(key, "must not be negative")
    if value > ABSURD_REQUEUE_TIMES:
        raise _Slip(key, f"is larger than {ABSURD_REQUEUE_TIMES}")
    if value > limits.ceiling:
        return limits.ceiling, (f"{key} {value} lowered to the site's ceiling {limits.ceiling}",)
    return value, ()


def _strings(aps: dict[str, object], key: str, most: int, chars: int) -> tuple[str, ...]:
    value = aps.get(key, [])
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _Slip(key, "must be a string or a list of strings")
    if len(items) > most:
        raise _Slip(key, f"has {len(items)} entries, more than {most}")
    if any(not item or len(item) > chars or "\0" in item for item in items):
        raise _Slip(key, f"has an empty entry, one over {chars} characters, or a NUL")
    return tuple(items)


def _flag(aps: dict[str, object], key: str) -> bool:
    value = aps.get(key, True)
    if not isinstance(value, bool):
        raise _Slip(key, f"must be true or false, not {_json_type(value)}")
    return value


def _json_type(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    return names[type(value)]
