"""docs/metrics.md says what the code says."""

from __future__ import annotations

import re

from ajrd.vitals import table
from tests.web.prometheus import ROOT, alerts

TEXT = (ROOT / "docs/metrics.md").read_text()


def test_the_table_is_the_one_that_the_code_gives() -> None:
    assert table.markdown() in TEXT


def test_each_alert_is_explained_with_its_severity_and_no_other_is() -> None:
    explained = set(re.findall(r"^\*\*(\w+)\*\* \((\w+)\)", TEXT, re.MULTILINE))
    assert explained == {(alert["alert"], alert["labels"]["severity"]) for alert in alerts()}
