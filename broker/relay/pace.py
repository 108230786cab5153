"""How many records a batch may have, so that it takes no longer than it should."""

_LEAST = 50


class Pace:
    """At most `most` records, and about `seconds`; begins with `first`. No fewer than `least`: what
    a commit takes by itself is no shorter for fewer records."""

    def __init__(
        self, most: int, seconds: float, first: int | None = None, least: int = _LEAST
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._least = least
        self.limit = min(most, first or most)

    def took(self, records: int, seconds: float) -> None:
        """A batch of so many records took so long."""
        if seconds > self._seconds:
            fitting = int(records * self._seconds / seconds)
            self.limit = min(self._most, max(self._least, fitting))
        elif records >= self.limit and seconds < self._seconds / 2:
            self.limit = min(self._most, 2 * self.limit)
