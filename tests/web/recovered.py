"""What `/metrics` of a service must say after exactly one recovery, whatever the Slurm below it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from ajrd.vitals import names

#: One job was requeued once, and its next attempt runs.
AFTER_ONE_RECOVERY: Mapping[str, float] = {
    "ajrd_attempts_started_total": 2,
    'ajrd_attempts_ended_total{state="REQUEUED"}': 1,
    'ajrd_decisions_total{branch="requeue",verb="requeue"}': 1,
    'ajrd_recoveries_total{outcome="successor_started",state="converged",verb="requeue"}': 1,
    'ajrd_actions_total{result="done",step="requeue_hold"}': 1,
    'ajrd_actions_total{result="done",step="release"}': 1,
    "ajrd_recovery_decision_seconds_count": 1,
    "ajrd_recovery_kill_seconds_count": 1,
    "ajrd_recovery_restart_seconds_count": 1,
    "ajrd_recovery_seconds_count": 1,
    "ajrd_recoveries_open": 0,
    "ajrd_holds": 0,
    "ajrd_hold_overdue_seconds": 0,
    "ajrd_leader": 1,
    "ajrd_lease_usable": 1,
    "ajrd_store_up": 1,
    "ajrd_slurm_up": 1,
    'ajrd_jobs{managed="true",state="RUNNING"}': 1,
}
#: What has happened often, but nobody knows how often.
SOME = (
    'ajrd_slurm_request_seconds_count{operation="jobs"}',
    'ajrd_store_transaction_seconds_count{kind="write"}',
    "ajrd_event_loop_lag_seconds_count",
    "ajrd_rules",
    "ajrd_log_files_followed",
    "ajrd_log_read_bytes_total",
    "ajrd_log_read_lines_total",
)
#: The parts of a recovery, which make all of it.
PHASES = ("decision", "kill", "restart")


def numbers(text: str) -> dict[str, float]:
    """Every sample by its name and sorted labels, as ``name{a="b"}``."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{sample.labels[key]}"' for key in sorted(sample.labels))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def faults_of(text: str) -> list[str]:
    """What differs from one recovery, in sentences; and metrics that nobody has declared."""
    seen = numbers(text)
    faults = [
        f"{name} is {seen.get(name)}, not {wanted:g}"
        for name, wanted in AFTER_ONE_RECOVERY.items()
        if seen.get(name) != wanted
    ]
    faults += [f"{name} is {seen.get(name)}" for name in SOME if not seen.get(name)]
    return [*faults, *_phases(seen), *_strangers(seen)]


def _phases(seen: Mapping[str, float]) -> Iterator[str]:
    parts = sum(seen.get(f"ajrd_recovery_{part}_seconds_sum", 0) for part in PHASES)
    whole = seen.get("ajrd_recovery_seconds_sum", 0)
    if abs(parts - whole) > 0.001:
        yield f"the phases make {parts} s, all of the recovery {whole} s"


def _strangers(seen: Mapping[str, float]) -> Iterator[str]:
    declared = {metric.name for metric in names.ALL}
    told = {name.partition("{")[0] for name in seen if name.startswith("ajrd_")}
    for name in sorted(told):
        if re.sub(r"_(bucket|sum|count)$", "", name) not in declared:
            yield f"{name} is not declared"
