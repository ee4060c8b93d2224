"""Every metric of ajrd, with its type, its help and its labels: the one place that names them.

Labels hold values of closed sets alone (states, kinds, verbs, configured tenants and webhooks),
never a job, a user or a path. Durations are seconds. What only the leader knows (jobs, recoveries,
holds, logs, Loki, hand-off and webhooks) is told by the leader alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """What may be done with the numbers."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``buckets`` are the upper bounds of a histogram."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


#: Answers of a program on this host or in its network.
_ANSWERS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: Phases of a recovery: from the quickest that Slurm can, to a night in the queue.
_PHASES = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 36000.0)
_LAGS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Type.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Type.GAUGE, text, labels)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(name, Type.HISTOGRAM, text, labels, buckets)


# the process

BUILD = _gauge("ajrd_build_info", "Always 1; the labels tell what runs.", "version", "python")
MODE = _gauge("ajrd_mode_info", "Always 1; observe writes decisions down, act acts.", "mode")
RULES = _gauge("ajrd_rules", "Rules of the catalogue in use.")
RULES_DIGEST = _gauge(
    "ajrd_rules_info", "Always 1; the label tells one catalogue from another.", "digest"
)
RELOADS = _counter(
    "ajrd_config_reloads_total", "Reloads of configuration and rules, by what came of them.",
    "result",
)  # fmt: skip
RELOADED = _gauge(
    "ajrd_config_last_reload_successful",
    "1 if the last reload was taken up, or none was asked for; 0 if it was refused.",
)
MESSAGES = _counter(
    "ajrd_journal_messages_total", "Messages of the service's own log, from warnings on.", "level"
)
LOOP_LAG = _histogram(
    "ajrd_event_loop_lag_seconds", "How much later than asked for the event loop woke a task.",
    _LAGS,
)  # fmt: skip

# who leads

LEADER = _gauge("ajrd_leader", "1 if this process runs the recovery loop, 0 if it stands by.")
MAY_ACT = _gauge(
    "ajrd_lease_usable", "1 while enough of the lease is left to begin a Slurm command."
)
EPOCH = _gauge("ajrd_lease_epoch", "The epoch of the lease that this process took last.")
RENEWAL_AGE = _gauge(
    "ajrd_lease_renewal_age_seconds", "Seconds since the leader last renewed its lease."
)

# jobs and recoveries

JOBS = _gauge(
    "ajrd_jobs", "Jobs that opted in, or tried to, by Slurm's state, as last seen.",
    "state", "managed",
)  # fmt: skip
STARTED = _counter("ajrd_attempts_started_total", "Attempts seen to start.")
ENDED = _counter("ajrd_attempts_ended_total", "Attempts seen to end, by their state.", "state")
ANOMALIES = _counter("ajrd_anomalies_total", "Anomalies recorded, each line once.", "kind", "role")
DECISIONS = _counter(
    "ajrd_decisions_total", "Decisions written, by what is to happen and by the rule for it.",
    "verb", "branch",
)  # fmt: skip
DEGRADED = _counter(
    "ajrd_decisions_degraded_total",
    "Decisions carried out without the database, counted when they were written down after it.",
)
RECOVERIES = _counter(
    "ajrd_recoveries_total", "Decisions that are over, by how they ended.",
    "verb", "state", "outcome",
)  # fmt: skip
DRIVING = _gauge("ajrd_recoveries_open", "Decisions that are being carried out.")
DECIDING = _histogram(
    "ajrd_recovery_decision_seconds",
    "From reading the line that decided to the decision.", _PHASES,
)  # fmt: skip
KILLING = _histogram(
    "ajrd_recovery_kill_seconds",
    "From the decision to requeue until the processes of the attempt were gone.", _PHASES,
)  # fmt: skip
RESTARTING = _histogram(
    "ajrd_recovery_restart_seconds",
    "From the end of the kill until the next attempt was seen to run.", _PHASES,
)  # fmt: skip
RECOVERING = _histogram(
    "ajrd_recovery_seconds",
    "From reading the line that decided until the next attempt was seen to run.", _PHASES,
)  # fmt: skip
ACTIONS = _counter(
    "ajrd_actions_total", "Slurm commands of decisions, by what came of each try.",
    "step", "result",
)  # fmt: skip
RETRIES = _counter("ajrd_action_retries_total", "Second and later tries of a command.", "step")
HOLDS = _gauge("ajrd_holds", "Jobs that stay held by ajrd at this moment.")
HOLD_AGE = _gauge("ajrd_hold_oldest_seconds", "Age of the oldest hold of ajrd's; 0 without any.")
HOLD_LATE = _gauge(
    "ajrd_hold_overdue_seconds",
    "By how much the most overdue hold has passed its deadline; 0 if none has.",
)

# the store

STORE_UP = _gauge("ajrd_store_up", "1 while the database answers.")
STORE_AWAY = _gauge("ajrd_store_away_seconds", "Seconds since the database stopped answering.")
TRANSACTIONS = _histogram(
    "ajrd_store_transaction_seconds", "Duration of the recovery's transactions.", _ANSWERS, "kind"
)
STORE_ERRORS = _counter(
    "ajrd_store_errors_total",
    "Transactions that failed: the database was away, or refused a statement.", "kind", "error",
)  # fmt: skip

# Slurm

SLURM_UP = _gauge("ajrd_slurm_up", "1 if slurmctld answered the last request.")
SLURM_SILENCE = _gauge(
    "ajrd_slurm_silence_seconds", "Seconds since slurmctld last answered, or since the start."
)
SLURM_VERSION = _gauge("ajrd_slurm_info", "Always 1; the label tells Slurm's version.", "version")
REQUESTS = _histogram(
    "ajrd_slurm_request_seconds", "Duration of requests to Slurm.", _ANSWERS, "operation"
)
SLURM_ERRORS = _counter(
    "ajrd_slurm_errors_total", "Requests to which Slurm gave no answer.", "operation"
)
REFUSALS = _counter(
    "ajrd_slurm_refusals_total", "Requests that Slurm refused.", "operation", "reason"
)

# log files

FILES = _gauge("ajrd_log_files_followed", "Log files of running attempts that are followed.")
FILES_WAITING = _gauge("ajrd_log_files_waiting", "Those of them that do not exist yet.")
FILES_UNREADABLE = _gauge("ajrd_log_files_unreadable", "Those of them that cannot be read.")
FILES_UNCERTAIN = _gauge(
    "ajrd_log_files_uncertain", "Those of them whose reading began at a place that was guessed."
)
GIVEN_UP = _gauge(
    "ajrd_log_searches_given_up", "Attempts for which the search for logs had to give up on a part."
)
READ_BYTES = _counter("ajrd_log_read_bytes_total", "Bytes of log files that were read.")
READ_LINES = _counter("ajrd_log_read_lines_total", "Lines of log files that were read.")
LOG_LAG = _gauge(
    "ajrd_log_lag_seconds",
    "Age that an unread line of a readable file may have at most; up to 1 while all is quiet.",
)
UNKEPT = _gauge("ajrd_log_findings_unkept", "Findings in files that the store has yet to take.")

# Loki

LOKI_STATE = _gauge(
    "ajrd_loki_state", "1 for the state that reading a tenant is in, else 0.", "tenant", "state"
)
LOKI_LAG = _gauge(
    "ajrd_loki_lag_seconds", "How far behind now everything of a tenant has been read.", "tenant"
)
LOKI_REQUESTS = _counter("ajrd_loki_requests_total", "Requests to Loki, tails included.", "tenant")
LOKI_ENTRIES = _counter(
    "ajrd_loki_entries_total", "Entries read, those of overlaps each time.", "tenant"
)
LOKI_UNMANAGED = _counter(
    "ajrd_loki_entries_unmanaged_total", "Entries of no job that opted in.", "tenant"
)
LOKI_EARLY = _counter(
    "ajrd_loki_entries_early_total", "Entries that had to wait for the next look at Slurm.",
    "tenant",
)  # fmt: skip
LOKI_FOUND = _counter("ajrd_loki_anomalies_found_total", "Anomalies found by Loki.", "tenant")
LOKI_SWEPT = _counter(
    "ajrd_loki_anomalies_swept_total", "Those of them that no tail told before the sweep.",
    "tenant",
)  # fmt: skip
LOKI_DROPPED = _counter(
    "ajrd_loki_entries_dropped_total", "Entries that tails said to have dropped; more were.",
    "tenant",
)  # fmt: skip
LOKI_TAILS = _gauge("ajrd_loki_tails", "Tails that are open.", "tenant")
LOKI_UNSPLIT = _counter(
    "ajrd_loki_unsplit_total", "Groups of entries of one time too large for any answer.", "tenant"
)
LOKI_ERRORS = _counter(
    "ajrd_loki_errors_total", "Questions that Loki did not answer, by why.", "tenant", "error"
)

# what leaves ajrd

WEBHOOKS = _counter(
    "ajrd_webhook_deliveries_total",
    "Tries to deliver an event to a webhook, by what came of each; given_up was the last of one.",
    "endpoint", "outcome",
)  # fmt: skip
WEBHOOK_LAG = _gauge(
    "ajrd_webhook_lag_seconds",
    "Age of the oldest event that a webhook has yet to take; 0 without any.", "endpoint",
)  # fmt: skip
HARDWARE = _counter(
    "ajrd_hardware_requests_total", "Requests to the hardware service, by what came of each.",
    "kind", "outcome",
)  # fmt: skip
HARDWARE_OPEN = _gauge(
    "ajrd_hardware_reports_open",
    "Suspicions that the hardware service has yet to be told of, or to judge; at most 200.",
)
HARDWARE_FAILING = _gauge(
    "ajrd_hardware_failing_seconds",
    "For how long open reports have met a hardware service that does not answer well; else 0.",
)
DRAINS = _counter(
    "ajrd_drains_total",
    "Suspicions that are done with for draining: drained; failed, refused by Slurm; unclear; late,"
    " not allowed in time; left, not to be drained.",
    "outcome",
)
DRAINED = _gauge(
    "ajrd_nodes_drained", "Nodes that are drained by ajrd, as last seen; looked at every minute."
)
DRAIN_BUDGET = _gauge("ajrd_drain_budget_nodes", "Nodes that may be: hardware.drain.max_nodes.")

#: All of them, in the order in which they stand here.
ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
