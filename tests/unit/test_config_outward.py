"""The sections `hardware` and `notify`: what is refused, and in which words."""

from __future__ import annotations

import pytest

from ajrd.asides import endpoint_of, plan_of
from ajrd.config import parse
from ajrd.errors import ConfigError
from ajrd.model import Occasion

API = "hardware:\n  api:\n    "
HOOK = "notify:\n  webhooks:\n  - name: ops\n    url: https://h.example.org/x\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{API}url: ftp://h/x\n", "c.yaml:3: hardware.api.url: is not http(s)://"),
        (f"{API}url: https://u:p@h/x\n", "hardware.api.url: must not hold a user or a password"),
        (f"{API}url: https://u@h/x\n", "hardware.api.url: must not hold a user or a password"),
        (f"{API}url: 'https://h/{{nope}}'\n", "hardware.api.url: '{nope}' in"),
        (f"{API}url: 'https://{{node}}/x'\n", "hardware.api.url: must not have a place"),
        (f"{API}url: 'https://h/{{reference}}'\n", "hardware.api.url: '{reference}' in"),
        (f"{API}url: 'https://h/a b'\n", "hardware.api.url: holds characters"),
        (f"{API}body: {{a: ['{{x}}']}}\n", "hardware.api.body: '{x}' in"),
        (f"{API}body: {{a: 2026-01-01}}\n", "hardware.api.body: is not JSON"),
        (f"{API}healthy: [OK]\n    faulty: [ok]\n", "hardware.api: 'ok' stands for two verdicts"),
        (f"{API}idempotency_header: 'a: b'\n", "hardware.api.idempotency_header: "),
        (f"{API}kinds: [BAD]\n", "hardware.api.kinds.0: "),
        ("hardware:\n  drain:\n    max_nodes: 0\n", "c.yaml:3: hardware.drain.max_nodes: "),
        ("hardware:\n  drain:\n    max_share: 1.5\n", "hardware.drain.max_share: "),
        ("hardware:\n  drain:\n    keep_nodes: 0\n", "hardware.drain.keep_nodes: "),
        (HOOK.replace("https", "file"), "c.yaml:4: notify.webhooks.0.url: is not http(s)://"),
        (HOOK.replace("ops", "O/S"), "c.yaml:3: notify.webhooks.0.name: "),
        (HOOK + HOOK.partition("\n")[2].partition("\n")[2], "two webhooks are called ops"),
        (f"{HOOK}    events: [job.lost]\n", "c.yaml:5: notify.webhooks.0.events.0: "),
        (f"{HOOK}    secret: abc\n", "c.yaml:5: notify.webhooks.0.secret: unknown key"),
    ],
)
def test_a_fault_is_told_with_its_key(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    assert words in str(caught.value)


def test_given_values_reach_the_parts() -> None:
    config = parse(
        f"{HOOK}    events: [job.given_up]\n    users: [ada]\n"
        "hardware: {drain: {enabled: true, max_nodes: 3, kinds: [NODE]}, faulty_for: 60}\n",
        "c.yaml",
    )
    plan = plan_of(config.hardware)
    assert plan.drain is not None
    assert (plan.drain.max_nodes, sorted(plan.drain.kinds)) == (3, ["NODE"])
    assert plan.validity.faulty == 60
    endpoint = endpoint_of(config.notify.webhooks[0])
    assert endpoint.occasions == {Occasion.GIVEN_UP}
    assert endpoint.users == {"ada"}


def test_nothing_is_drained_unless_it_is_asked_for() -> None:
    assert plan_of(parse("", "c.yaml").hardware).drain is None
