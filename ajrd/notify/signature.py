"""The signature of a webhook: HMAC-SHA256 over the time of sending and the body.

``X-Ajrd-Signature: t=1767268800,v1=5257a8…``: ``t`` in seconds since 1970, ``v1`` in hex over
``t``, a full stop and the body as it was sent. The time is signed, too, so a receiver can refuse
what somebody has recorded and sends again.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "X-Ajrd-Signature"


def signature(secret: bytes, at: int, body: bytes) -> str:
    """The value of the header; ``at`` in seconds since 1970."""
    digest = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
