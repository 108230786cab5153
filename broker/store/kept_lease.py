"""A lease that is kept by a thread while its holder works: one runner a dataset, on whatever
machine, where the store is all that the machines share.

Law: as of a lease: it saves double work, and what is done under it does no harm when done twice.
Where the store cannot be asked it is not held.
"""

import threading
import time
from contextlib import suppress

from broker.errors import StoreError
from broker.store.engine import Store
from broker.store.lease import Lease

BEAT = 1.5
"""Seconds between two beats, and between two looks of who stands by."""

PATIENCE = 5.0
"""Seconds without a beat after which another takes over: with the looks below ten."""


class KeptLease:
    """Like a `Hold`, for several machines."""

    def __init__(
        self, store: Store, name: str, beat: float = BEAT, patience: float = PATIENCE
    ) -> None:
        self._lease = Lease(store, name, time.monotonic, patience)
        self._beat = beat
        self._ours = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def taken(self) -> bool:
        """Whether the lease is ours; from the first time on it is kept, or waited for."""
        if self._thread is None:
            self._look()
            self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
            self._thread.start()
        return self._ours

    def release(self) -> None:
        """Free it for others at once, where the store answers; nothing where it was never
        asked for."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread, self._ours = None, False
        with suppress(StoreError):
            self._lease.give_up()

    def _keep(self) -> None:
        while not self._over.wait(self._beat):
            self._look()

    def _look(self) -> None:
        try:
            self._ours = self._lease.held()
        except StoreError:
            self._ours = False
