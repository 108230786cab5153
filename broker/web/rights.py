"""Who may read what over HTTP, asked again before every batch that leaves.

Law: the right is today's decision and a key in use, nothing that was remembered from an
earlier request. A share that was never the caller's is answered like one that does not
exist; one that was, as over.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.catalog import Catalog
from broker.sharing.keys import ApiKey, ApiKeys
from broker.sharing.service import Sharing
from broker.sharing.share import LIVE, Share
from broker.web.refusal import (
    no_right,
    no_such_dataset,
    no_such_share,
    not_open_yet,
    share_is_over,
    wrong_key,
)


@dataclass(frozen=True, slots=True)
class Right:
    """A caller's right to a share, as it was found; `Rights.hold` says whether it still is."""

    key: ApiKey
    share: Share


class Rights:
    """Answers from the sharing state as it stands."""

    def __init__(self, sharing: Sharing, keys: ApiKeys, catalog: Catalog) -> None:
        self._sharing = sharing
        self._keys = keys
        self._catalog = catalog

    def shares(self, key: ApiKey) -> list[Share]:
        """Every share the caller may read, or will when it has caught up."""
        found = self._sharing.audiences()
        return [one.share for one in found if key.consumer in one.readers]

    def to_dataset(self, key: ApiKey, dataset: str) -> Right:
        """The right to the caller's current share of a dataset."""
        if dataset not in self._catalog.datasets:
            raise no_such_dataset()
        mine = [share for share in self.shares(key) if share.dataset == dataset]
        live = [share for share in mine if share.state == LIVE]
        if live:
            return Right(key, live[0])
        raise not_open_yet(dataset) if mine else no_right(dataset)

    def to_share(self, key: ApiKey, name: str) -> Right:
        """The right to a share by its id."""
        for share in self.shares(key):
            if share.id == name:
                if share.state != LIVE:
                    raise not_open_yet(share.dataset)
                return Right(key, share)
        if self._sharing.was_given(name, key.consumer):
            raise share_is_over(self._sharing.share(name).dataset)
        raise no_such_share()

    def hold(self, right: Right) -> None:
        """Nothing where the right still is; `Refusal` says what became of it."""
        if not self._keys.in_use(right.key.id):
            raise wrong_key()
        self.to_share(right.key, right.share.id)

    def ended(self, rights: Iterable[Right]) -> set[tuple[str, str]]:
        """Which of the rights have ended, as (key id, share id): all judged by one look."""
        in_use = self._keys.all_in_use()
        live = {
            (reader, one.share.id)
            for one in self._sharing.audiences()
            if one.share.state == LIVE
            for reader in one.readers
        }
        return {
            (right.key.id, right.share.id)
            for right in rights
            if right.key.id not in in_use or (right.key.consumer, right.share.id) not in live
        }
