"""Who calls, and how often.

Law: a caller is a consumer with a key in use, or nobody. Wrong keys are told to the
operators as a count, each of them, never as what was sent; an address that sends many is
not answered in detail any more, while right keys from there go on. A consumer that asks
too often waits.
"""

import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from broker.sharing.keys import ApiKey, ApiKeys
from broker.telemetry import AccessDenied, Event
from broker.web.refusal import too_many, wrong_key

WRONG_A_MINUTE = 20
"""Wrong keys from one address in a minute, before it is told to wait."""

_ADDRESSES = 10_000


class Bucket:
    """So many in a minute, as many at once at most."""

    def __init__(self, minute: int, clock: Callable[[], float]) -> None:
        self._minute = minute
        self._clock = clock
        self._left = float(minute)
        self._at = clock()

    def take(self) -> int:
        """Take one: 0, or the seconds after which there is one again."""
        now = self._clock()
        self._left = min(self._minute, self._left + (now - self._at) * self._minute / 60)
        self._at = now
        if self._left < 1:
            return max(1, round((1 - self._left) * 60 / self._minute))
        self._left -= 1
        return 0


class Buckets:
    """A bucket for each name; of very many names the least recent are forgotten."""

    def __init__(self, minute: int, clock: Callable[[], float]) -> None:
        self._minute = minute
        self._clock = clock
        self._known: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, name: str) -> int:
        """See `Bucket.take`."""
        if name not in self._known:
            self._known[name] = Bucket(self._minute, self._clock)
            if len(self._known) > _ADDRESSES:
                self._known.popitem(last=False)
        self._known.move_to_end(name)
        return self._known[name].take()


class Access:
    """Turns a request into the key that it came with."""

    def __init__(
        self,
        keys: ApiKeys,
        emit: Callable[[Event], None],
        a_minute: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`a_minute` is how many requests a consumer may make."""
        self._keys = keys
        self._emit = emit
        self._asked = Buckets(a_minute, clock)
        self._wrong = Buckets(WRONG_A_MINUTE, clock)

    def caller(self, request: Request) -> ApiKey:
        """The caller's key; `Refusal` where there is none, or it is used too often."""
        text, consumer = _credentials(request.headers.get("authorization", ""))
        key = self._keys.holder(text, consumer) if text else None
        if key is None:
            wait = self._wrong.take(request.client.host if request.client else "")
            kind = "wrong_key" if text else "no_key"
            self._emit(AccessDenied(reason="too_many" if wait else kind))
            raise too_many("wrong keys", wait) if wait else wrong_key()
        if wait := self._asked.take(key.consumer):
            raise too_many("requests", wait)
        return key


def _credentials(header: str) -> tuple[str, str]:
    """(key, consumer) of `Bearer KEY`, or `Basic` with consumer and key; empty where wrong."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip(), ""
    if scheme.lower() == "basic":
        try:
            consumer, _, key = base64.b64decode(rest, validate=True).decode().partition(":")
        except (ValueError, binascii.Error):
            return "", ""
        return (key, consumer) if consumer else ("", "")
    return "", ""
