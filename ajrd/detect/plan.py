"""Which expressions hyperscan is to look for, and for which rules each of them speaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.dbcache import Expression
from ajrd.detect.kept import default_folder, keep, recall
from ajrd.detect.pattern import groupless
from ajrd.detect.prefilter import required_texts

#: Changes when the same catalogue gets other expressions.
_FORMAT = 4

Plan = dict[Expression, list[int]]


def plan_of(catalogue: Catalogue, cache: Path | None = None) -> Plan:
    """Expressions with the indexes of their rules; kept, for it takes a moment to find them."""
    place = (cache or default_folder()) / f"{catalogue.digest}-{_FORMAT}.plan"
    kept = recall(place)
    if kept is not None:
        return {Expression(text, case): owners for text, case, owners in json.loads(kept)}
    plan = _made(catalogue)
    rows = [[each.pattern, each.sensitive, owners] for each, owners in plan.items()]
    keep(place, json.dumps(rows).encode())
    return plan


def _made(catalogue: Catalogue) -> Plan:
    plan: Plan = {}
    for index, rule in enumerate(catalogue.rules):
        for pattern in rule.patterns:
            for expression in _expressions(groupless(pattern), rule.sensitive):
                owners = plan.setdefault(expression, [])
                if index not in owners:
                    owners.append(index)
    return plan


def _expressions(pattern: str, sensitive: bool) -> Iterable[Expression]:
    texts = required_texts(pattern, sensitive=sensitive)
    if texts is None:
        return (Expression(pattern, sensitive),)
    return [Expression(re.escape(text), sensitive) for text in sorted(texts)]
