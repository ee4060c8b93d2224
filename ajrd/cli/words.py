"""What the short names of the store mean, in words for people."""

from __future__ import annotations

#: By which line of the decision table (:mod:`ajrd.policy.decide`) something was decided.
BRANCHES = {
    "requeue": "it broke for a reason that another attempt may not meet, and the budget allows one",
    "pointless": "another attempt would meet the same end, or its owner asks for none",
    "singleton": "its owner wants the next job of the chain to take over",
    "budget_spent": "it broke, and its requeues are used up",
    "no_progress": "attempt after attempt breaks in the same way and gets no further",
    "not_eligible": "it must be left alone",
    "completed": "it ended well in spite of what its logs say",
    "dependent_started": "another job that waited for its end goes on in its place",
    "requeued_by_others": "somebody else has requeued it already",
    "not_managed": "its comment asks for nothing, or for nothing that can be understood",
    "job_unknown": "Slurm had forgotten the job",
    "operator": "somebody asked for it; what the logs say did not count",
}
#: How a decision ended (:class:`ajrd.recovery.sequence.Outcome`).
OUTCOMES = {
    "successor_started": "Slurm was seen to run the next attempt",
    "stopped": "Slurm was seen to have ended the attempt",
    "chain_continues": "the next job of the chain was seen to have started",
    "chain_ends": "there is no further job in the chain",
    "left_alone": "nothing was done",
    "requeued_by_others": "somebody else has requeued the job",
    "ended_well": "the job had ended well by then",
    "cancelled_by_others": "its user or an administrator has cancelled the job",
    "held_by_others": "its user or an administrator holds the job",
    "job_unknown": "Slurm does not know the job any more",
    "refused_by_slurm": "Slurm has refused the command",
    "taken_over": "another ajrd had announced that it acts",
    "abandoned_by_request": "somebody asked that it be given up",
}
VERBS = {
    "requeue": "requeue it",
    "stop": "end it, and no other attempt",
    "chain": "end it and let the next job of the chain go on",
    "leave": "leave it alone",
}
