"""The GPUs of an allocation, in each of the notations that Slurm has for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ajrd.slurm.gpus import by_request, count_in, in_details, requested
from ajrd.slurm.worker import answer


def test_gpus_of_several_types_are_added_up_unless_slurm_has() -> None:
    assert count_in("cpu=1,gres/gpu:a100=2,gres/gpu:h100=1", "gres/gpu") == 3
    assert count_in("gres/gpu=3,gres/gpu:a100=2", "gres/gpu") == 3
    assert count_in("(null)", "gres/gpu") == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("gres:gpu:2", 2),
        ("gres:gpu:h100:1", 1),
        ("gres:gpu", 1),
        ("gres/gpu:4", 4),
        ("gres/gpu:h100=8", 8),
        ("gres/gpu=8", 8),
        ("gres:gpu:a100:2,gres:gpu:h100:1", 3),
        ("gres:shard:2,gres:gpu:a100:3", 3),
        ("gres:gpumem:2", 0),
        ("N/A", 0),
        ("", 0),
    ],
)
def test_a_request_is_understood(text: str, number: int) -> None:
    assert requested(text) == number


def test_the_request_for_a_node_or_a_task_counts_for_each() -> None:
    none = {"job": "N/A", "node": "N/A", "task": "N/A", "nodes": 4, "tasks": 16}
    assert by_request(**none | {"node": "gres:gpu:8"}) == 32  # type: ignore[arg-type]
    assert by_request(**none | {"task": "gres:gpu:1"}) == 16  # type: ignore[arg-type]
    assert by_request(**none | {"job": "gres:gpu:3"}) == 3  # type: ignore[arg-type]
    assert by_request(**none) == 0  # type: ignore[arg-type]


def test_what_each_node_gave_is_added_up() -> None:
    assert in_details(["gpu:h100:2(IDX:0-1)", "gpu:h100:2(IDX:0-1)"]) == 4
    assert in_details(["gpu:4(IDX:0-3),shard:2(IDX:0)"]) == 4
    assert in_details(["gpu:a100:1(IDX:0),gpu:h100:2(IDX:1-2)"]) == 3
    assert in_details([]) == 0


class Job:
    """As pyslurm shows one whose GPUs Slurm does not count: 3 on n1, and a shard."""

    allocated_nodes = "n1"
    comment = '{"APS": {}}'
    gpus: ClassVar[dict[str, object]] = {}

    def __getattr__(self, name: str) -> None:
        return None

    def get_resource_layout_per_node(self) -> dict[str, dict[str, Any]]:
        return {"n1": {"gres": {"gpu:h100": {"count": 3}, "shard": {"count": 1}}}}


def test_pyslurm_is_asked_for_what_each_node_gave_where_slurm_does_not_count() -> None:
    api = SimpleNamespace(Job=SimpleNamespace(load=lambda _: Job()), RPCError=OSError)
    said = answer(api, {"call": "job", "with": {"raw_id": 7}})
    assert said["value"]["gpus"] == 3


class Odd(Job):
    """One whose nodes pyslurm cannot tell."""

    def get_resource_layout_per_node(self) -> dict[str, dict[str, Any]]:
        raise RuntimeError("no layout")


class Foreign(Odd):
    """One that asks nothing of ajrd."""

    comment = ""

    @property
    def gpus(self) -> dict[str, object]:  # type: ignore[override]
        pytest.fail("nobody needs to know")


def test_gpus_that_cannot_be_told_hide_no_job_from_recovery() -> None:
    jobs = SimpleNamespace(load=lambda: {1: Odd(), 2: Foreign(), 3: Job()})
    said = answer(SimpleNamespace(Jobs=jobs, RPCError=OSError), {"call": "jobs", "with": {}})
    assert [each["gpus"] for each in said["value"]] == [0, 0, 3]
