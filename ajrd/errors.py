"""The errors of ajrd: one small tree.

Each message says what was being done, to what, and what the reader can do. An error is
caught where something can be decided about it and nowhere else.
"""

from __future__ import annotations


class AjrdError(Exception):
    """Anything that ajrd itself reports."""


class ConfigError(AjrdError):
    """A configuration or rule file is wrong; the message names file, line and key."""


class SlurmUnavailable(AjrdError):
    """slurmctld did not answer, or not intelligibly: the state of every job is *unknown*."""


class SlurmRejected(AjrdError):
    """slurmctld answered and refused the command. ``code`` is one of :class:`Refusal`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class StoreUnavailable(AjrdError):
    """The database did not answer or did not commit.

    Nothing of the transaction is kept, unless it was the answer to its commit that got lost: the
    caller repeats it, which every method of the store allows.
    """


class RequestRefused(AjrdError):
    """Whoever asks for something to be done to a job may not, or the leader will not do it."""


class LokiUnavailable(AjrdError):
    """Loki did not answer, or not with what was asked for: what it holds is *unknown*.

    ``pause`` is how long to wait before asking again, seconds, as far as Loki said so.
    """

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class LokiTooMuch(LokiUnavailable):
    """Loki would answer a question about a shorter time, or for fewer entries."""


class LokiRefused(LokiUnavailable):
    """Loki does not understand or allow the question: the configuration has to be changed."""


class LokiDenied(LokiRefused):
    """Loki lets this user, token or tenant not read."""


class RemoteUnavailable(AjrdError):
    """Another service (hardware recovery, a webhook) has not taken what it was sent.

    ``pause`` (s) is how long it asks to be left alone; ``status`` what HTTP said, 0 if nothing.
    """

    def __init__(self, message: str, pause: float = 0.0, status: int = 0) -> None:
        super().__init__(message)
        self.pause = pause
        self.status = status


class WebUnavailable(AjrdError):
    """Pages and API cannot be served where the configuration says."""


class SetupError(AjrdError):
    """Setting up or removing the service has failed; what the step had made is gone again."""


class NotLeader(AjrdError):
    """Another process has taken over the lease; nothing was written, and nothing may be done."""
