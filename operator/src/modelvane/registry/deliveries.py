"""What of a webhook's delivery is believed: its signature, its age, that it is new, that there are not too many. Pure.

MLflow signs `{delivery id}.{timestamp}.{raw body}` with HMAC-SHA256 and sends `v1,<base64>`. It does so once for each
delivery: a retry carries the same id, time and signature as the first try.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from modelvane.engine.state import Key

LONGEST_BODY = 64 * 1024
OLDEST = 300
"""Seconds that a delivery's time may lie in the past or the future."""

# Without a dot, so that what was signed can be cut into id, time and body in one way only.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_PATH = re.compile(r"/webhook/([a-z0-9.-]{1,63})/([a-z0-9.-]{1,253})")


@dataclass(frozen=True)
class Delivery:
    """One delivery, as it came. Everything in it is the sender's choice."""

    id: str
    timestamp: str
    signature: str
    body: bytes


def path_of(key: Key) -> str:
    """Return the path at which a registry's deliveries arrive."""
    return f"/webhook/{key.namespace}/{key.name}"


def key_of(path: str) -> Key | None:
    """Return the registry whose deliveries arrive at a path."""
    match = _PATH.fullmatch(path)
    return Key("ModelRegistry", match[1], match[2]) if match else None


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Sign as MLflow does."""
    content = f"{delivery_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()


def is_authentic(delivery: Delivery, secrets: Sequence[str], now: float) -> bool:
    """Say whether one of the secrets signed it, not long ago. It takes as long whichever of them did."""
    if not _ID.fullmatch(delivery.id) or not _TIMESTAMP.fullmatch(delivery.timestamp):
        return False
    if abs(now - int(delivery.timestamp)) > OLDEST:
        return False
    got = delivery.signature.encode(errors="replace")
    # An empty secret is one that everybody knows.
    right = [sign(secret, delivery.id, delivery.timestamp, delivery.body).encode() for secret in secrets if secret]
    return any([hmac.compare_digest(got, signature) for signature in right])  # noqa: C419 - all of them, always


class Seen:
    """Remembers the last so many things."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def __contains__(self, item: Hashable) -> bool:
        return item in self._seen

    def add(self, item: Hashable) -> None:
        """Remember one more, and forget the oldest when there are too many."""
        self._seen[item] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)


class Limiter:
    """Lets each source have so many at once and so many a second after that. It remembers a bounded number of them."""

    def __init__(self, at_once: float, a_second: float, most: int) -> None:
        self._at_once = at_once
        self._a_second = a_second
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, source: str, now: float) -> bool:
        """Count one from a source, and say whether it may."""
        left, then = self._left.pop(source, (self._at_once, now))
        left = min(self._at_once, left + max(0.0, now - then) * self._a_second)
        allowed = left >= 1
        self._left[source] = (left - 1 if allowed else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return allowed


def source_of(address: str | None) -> str:
    """Name who sends. In IPv6 everybody has a whole network of addresses, so the network counts."""
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
