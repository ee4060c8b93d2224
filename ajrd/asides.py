"""What a leader does besides recovery and never waits for: hardware hand-off and webhooks.

Glue: the words of the configuration as what these parts take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ajrd.config import Config, HardwareSection, Mode, Webhook
from ajrd.hardware.api import HardwareApi, Terms, place_of
from ajrd.hardware.drain import Limits
from ajrd.hardware.handoff import Handoff, MayAct, Plan
from ajrd.hardware.health import HandoffHealth
from ajrd.notify.health import EndpointHealth
from ajrd.notify.sender import Endpoint, Sender
from ajrd.outbound import Place
from ajrd.policy.nodes import Health, Validity
from ajrd.recovery.settings import Clock
from ajrd.slurm.nodes import SlurmNodes
from ajrd.store.store import Store


def handoff(
    config: Callable[[], Config],
    store: Store,
    leads: MayAct,
    clock: Clock,
    checkpoint: Callable[[str], None],
) -> Handoff | None:
    """The hand-off of a leader; None where none is configured. ``config``: the one in force."""
    hardware, slurm = config().hardware, config().slurm
    if not (hardware.drain.enabled or hardware.api.url):
        return None
    return Handoff(
        plan_of(hardware),
        store,
        SlurmNodes(slurm.conf, slurm.bin_dir, slurm.timeout),
        _api(hardware),
        leads,
        lambda: config().recovery.mode is Mode.ACT,
        clock,
        checkpoint,
    )


def plan_of(hardware: HardwareSection) -> Plan:
    """What is handed off, and how much."""
    drain = hardware.drain
    limits = Limits(
        kinds=frozenset(drain.kinds),
        max_nodes=drain.max_nodes,
        max_share=drain.max_share,
        keep_nodes=drain.keep_nodes,
        cool_down=drain.cool_down,
        fresh=drain.fresh,
    )
    return Plan(
        drain=limits if drain.enabled else None,
        report_kinds=frozenset(hardware.api.kinds),
        poll=hardware.api.poll,
        max_age=hardware.api.give_up_after,
        validity=Validity(hardware.faulty_for, hardware.healthy_for),
    )


def _api(hardware: HardwareSection) -> HardwareApi | None:
    api = hardware.api
    if not api.url:
        return None
    terms = Terms(
        url=api.url,
        body=api.body,
        verdict_url=api.verdict_url or "",
        reference_field=api.reference_field,
        verdict_field=api.verdict_field,
        states={word.lower(): health for health in Health for word in getattr(api, health.value)},
        idempotency_header=api.idempotency_header,
        token_file=api.token_file,
    )
    return HardwareApi(terms, place_of(api.tls.files(), api.timeout))


def senders(
    config: Config,
    store: Store,
    leads: MayAct,
    clock: Clock,
    checkpoint: Callable[[str], None],
) -> Iterator[Sender]:
    """One for each endpoint."""
    for webhook in config.notify.webhooks:
        endpoint, place = endpoint_of(webhook), webhook_place(webhook)
        yield Sender(endpoint, place, store, leads.may_act, clock, checkpoint)


def webhook_place(webhook: Webhook) -> Place:
    """How an endpoint is reached."""
    return Place(
        what=f"webhook {webhook.name}",
        section="notify.webhooks",
        tls=webhook.tls.files(),
        timeout=webhook.timeout,
    )


def endpoint_of(webhook: Webhook) -> Endpoint:
    """Who is told what."""
    return Endpoint(
        name=webhook.name,
        url=webhook.url,
        occasions=frozenset(webhook.events),
        partitions=frozenset(webhook.partitions),
        users=frozenset(webhook.users),
        secret_file=webhook.secret_file,
        give_up_after=webhook.give_up_after,
    )


def healths(
    handoff: Handoff | None, senders: Iterable[Sender]
) -> Iterator[HandoffHealth | EndpointHealth]:
    """How all of them do, for metrics."""
    if handoff is not None:
        yield handoff.health
    yield from (sender.health for sender in senders)
