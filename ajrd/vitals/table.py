"""The table of all metrics as it stands in ``docs/metrics.md``."""

from __future__ import annotations

from ajrd.vitals import names


def markdown() -> str:
    """A row for each metric."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in names.ALL:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    return "\n".join(rows) + "\n"
