"""Rule files that were once read and proved, kept by the digest of their bytes.

Reading YAML and proving every example of a few hundred rules takes a good part of a second, which
a scan of a small file should not pay each time. What is kept here has passed all checks, so it is
the same catalogue, sooner.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ajrd import __version__
from ajrd.detect.kept import default_folder, keep, recall
from ajrd.detect.rule import ProgressRule, Rule
from ajrd.detect.rulefile import Disabled, RuleFile, parse
from ajrd.model import Kind, Recovery, Role

#: Changes with the form of what is kept.
_FORMAT = 2


def read_files(paths: Sequence[Path], cache: Path | None = None) -> list[RuleFile]:
    """The files in their order; raises ConfigError as :func:`~ajrd.detect.rulefile.parse`."""
    texts = {str(path): path.read_bytes() for path in paths}
    place = (cache or default_folder()) / f"{_key(texts)}.rules"
    kept = recall(place)
    if kept is not None:
        return [_file(values) for values in json.loads(kept)]
    files = [parse(text.decode("utf-8"), name) for name, text in texts.items()]
    keep(place, json.dumps([asdict(file) for file in files]).encode())
    return files


def _key(texts: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(f"{__version__} {_FORMAT}".encode())
    for name, text in texts.items():
        digest.update(f"\0{name}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()


def _file(values: dict[str, Any]) -> RuleFile:
    return RuleFile(
        rules=tuple(_rule(each) for each in values["rules"]),
        progress=tuple(ProgressRule(**_tuples(each)) for each in values["progress"]),
        common_facts=tuple(values["common_facts"]),
        common_exclusions=tuple(values["common_exclusions"]),
        disable=tuple(Disabled(**each) for each in values["disable"]),
    )


def _rule(values: dict[str, Any]) -> Rule:
    values |= {
        "kind": Kind(values["kind"]),
        "role": Role(values["role"]),
        "recovery": Recovery(values["recovery"]),
    }
    return Rule(**_tuples(values))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
