"""Times, durations and states in the words of the pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

#: Where there is no value.
NOTHING = "\N{EN DASH}"
#: What an error means, and what can be done about it.
ERRORS = {
    401: ("Who are you?", "Log in at this site's proxy, or ask on the head node: `ajrd status`."),
    403: ("Not for you", "Ask an operator of this site, or log in as the owner of the job."),
    404: (
        "Not here",
        "Either there is no such job, or it belongs to somebody else, or its history was pruned.",
    ),
    429: ("Too fast", "Wait a little before you ask again."),
    500: ("Something went wrong", "The service's log says what."),
    503: (
        "The database is away",
        "Recovery goes on meanwhile: jobs are watched, and what is found is written down later.",
    ),
}

#: What a cause is called, where its own name would not tell people enough.
CAUSES = {
    "segfault": "segmentation fault",
    "nccl_timeout": "NCCL timeout",
    "nccl_error": "NCCL error",
    "oom_host": "out of memory",
    "oom_gpu": "GPU out of memory",
    "xid": "GPU fault (Xid)",
    "gpu_ecc": "GPU memory error",
    "gpu_lost": "GPU lost",
    "ib_network": "InfiniBand",
    "node_fail": "node failed",
    "loss_nan": "loss is NaN",
    "hang": "hang",
}


def when(moment: datetime | None) -> Markup:
    """A moment in the site's zone; the year is told where it is not plain."""
    return _time(moment, "%-d %b %H:%M:%S")


def minute(moment: datetime | None) -> Markup:
    """The same without seconds."""
    return _time(moment, "%-d %b %H:%M")


def clock(moment: datetime | None) -> Markup:
    """The time of day, to a tenth of a second: for what follows upon each other."""
    tenth = 0 if moment is None else moment.microsecond // 100_000
    return _time(moment, f"%H:%M:%S.{tenth}")


def _time(moment: datetime | None, form: str) -> Markup:
    if moment is None:
        return Markup("{}").format(NOTHING)
    local = moment.astimezone()
    full = local.strftime("%A, %-d %B %Y, %H:%M:%S %Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), full, local.strftime(form)
    )


def lasting(seconds: float | None) -> str:
    """A duration in its two largest units."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def stored(value: datetime | str | None) -> datetime | None:
    """A time as a row has it."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return None if moment is None else moment.replace(tzinfo=UTC)


def field(moment: datetime) -> str:
    """As the fields of a form take it."""
    return moment.astimezone().strftime("%Y-%m-%dT%H:%M")


def percent(part: float | None) -> str:
    """A share of one."""
    return NOTHING if part is None else f"{100 * part:.1f} %"


def amount(number: float | None) -> str:
    """A number of things or hours."""
    if number is None:
        return NOTHING
    return f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.1f}"


def place(number: float) -> str:
    """A place or size in percent, for an attribute of SVG."""
    return f"{number:.3f}%"


def plain(name: str) -> str:
    """A name of code as words."""
    return CAUSES.get(name, name.replace("_", " "))


def fact(name: str) -> str:
    """The name of a fact: devices are written in capitals."""
    return {"gpu": "GPU", "xid": "Xid", "cpu": "CPU"}.get(name, name.replace("_", " "))


def many(number: int, one: str, more: str = "") -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else more or one + 's'}"


FILTERS: dict[str, Callable[..., Any]] = {
    "when": when,
    "minute": minute,
    "clock": clock,
    "lasting": lasting,
    "stored": stored,
    "field": field,
    "percent": percent,
    "amount": amount,
    "place": place,
    "plain": plain,
    "fact": fact,
    "many": many,
}
