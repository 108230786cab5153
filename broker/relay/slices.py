"""Whose turn it is to open a share beside what is live.

Law: in a round of all partitions only a few open, so that a change waits for them and not for all;
and of those that want to, who has waited longest is first.
"""

Place = tuple[str, int]

_A_ROUND = 4


class Slices:
    """Without rounds everybody has its turn at once."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._waiting: dict[Place, None] = {}
        self._asked: set[Place] = set()

    def begin(self) -> None:
        """Another round; who did not ask in the last one wants nothing any more."""
        self._left = _A_ROUND
        self._waiting = {one: None for one in self._waiting if one in self._asked}
        self._asked = set()

    def take(self, place: Place) -> bool:
        """Whether it is this partition's turn; otherwise it waits for another round."""
        if self._left is None:
            return True
        self._asked.add(place)
        self._waiting.setdefault(place)
        if [*self._waiting].index(place) >= self._left:
            return False
        del self._waiting[place]
        self._left -= 1
        return True
