"""What Grafana makes of a query before it sends it: macros of its MySQL plugin, and variables.

As in ``pkg/tsdb/mysql/macros.go`` of Grafana 10 and 11, and its format ``sqlstring`` for variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

_MACRO = re.compile(r"\$(__[A-Za-z]+)\(([^)]*)\)")
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def sent(sql: str, since: datetime, until: datetime, variables: Mapping[str, Sequence[str]]) -> str:
    """The SQL that reaches the server; raises KeyError for a macro or variable nobody knows."""

    def macro(match: re.Match[str]) -> str:
        arguments = [each.strip(" ") for each in match[2].split(",")]
        return _expanded(match[1], arguments, int(since.timestamp()), int(until.timestamp()))

    def variable(match: re.Match[str]) -> str:
        quoted = ("'" + value.replace("'", "''") + "'" for value in variables[match[1]])
        return ",".join(quoted) or "''"

    text = _MACRO.sub(macro, _VARIABLE.sub(variable, sql))
    assert "$" not in text, f"something was not replaced in {text}"
    return text


def _expanded(name: str, arguments: Sequence[str], since: int, until: int) -> str:
    column = arguments[0]
    texts = {
        "__timeFilter": f"{column} BETWEEN FROM_UNIXTIME({since}) AND FROM_UNIXTIME({until})",
        "__timeFrom": f"FROM_UNIXTIME({since})",
        "__timeTo": f"FROM_UNIXTIME({until})",
    }
    if name.startswith("__timeGroup"):
        span = arguments[1].strip("'\"")
        seconds = int(span[:-1]) * _SECONDS[span[-1]]
        texts["__timeGroup"] = f"UNIX_TIMESTAMP({column}) DIV {seconds} * {seconds}"
        texts["__timeGroupAlias"] = f'{texts["__timeGroup"]} AS "time"'
    return texts[name]
