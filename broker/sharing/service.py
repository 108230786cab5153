"""Consumers, grants, the policy in force, and the shares that follow from them.

Law: shares are a function of grants, policy and day. `settle` computes them: every
active grant is decided with the holdings of its department; equal outcomes use one
share; a grant that is not active, or is refused, has none. A share is written and read
only as long as it shows no more than today's decision of a grant that uses it; whether
somebody has called `settle` since does not matter. Where the policy in force cannot be
loaded nothing is decided, and rights are taken away all the same.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from sqlalchemy import Connection, select

from broker.catalog import Catalog
from broker.divisions import Divisions
from broker.errors import CatalogError, GrantError, PolicyError
from broker.model import Level
from broker.policy.decide import over
from broker.policy.impact import Change
from broker.policy.loosening import UNREADABLE, Loosened, loosened
from broker.policy.model import Consumer, Decision, Grant
from broker.registry import Registry
from broker.sharing import grants as ledger
from broker.sharing.application import Application
from broker.sharing.audiences import Audience, Audiences, open_rows, shown
from broker.sharing.decided import Decided, decide_all
from broker.sharing.domains import stored_generations
from broker.sharing.foresight import as_shown, check_policy_change, check_tier, foreseen
from broker.sharing.grants import ACTIVE, SUSPENDED, TERMINATED
from broker.sharing.settling import Place, retire, settle, take_away
from broker.sharing.share import Share
from broker.sharing.tiers import TierChange, at_tier, put_tier, tier_changes
from broker.sharing.versions import Content, Versions
from broker.store.engine import Store
from broker.store.revision import count_up, current, glance
from broker.store.tables import reader as readers_table
from broker.store.tables import share as shares_table

_CONSUMER_ID = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A grant, what was decided, the share that carries it (None: refused), and the wider
    one that is opening to take its place."""

    grant: Grant
    decision: Decision
    share: Share | None
    opening: Share | None = None


_Found = TypeVar("_Found", ledger.Stored, Decided)


class Sharing:
    """The sharing service over one control store. `today` gives the city's day."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        divisions: Divisions,
        registry: Registry,
        versions: Versions,
        today: Callable[[], date],
        elsewhere: str = "",
    ) -> None:
        """`elsewhere` is the address of the registry that schemas stand in; empty: `registry`."""
        self._store = store
        self._elsewhere = elsewhere
        self._catalog = catalog
        self._divisions = divisions
        self._made = Audiences(catalog, registry)
        self._versions = versions
        self._today = today
        self._known: tuple[tuple[int, date], list[Audience]] | None = None
        self._deciding = threading.Lock()

    def add_consumer(self, name: str, department: str, tier: Level, title: str) -> Consumer:
        """Register a consumer 使用方."""
        if not _CONSUMER_ID.fullmatch(name) or name == "shuqiao" or len(name) > 64:
            raise GrantError(
                f"{name!r} cannot be a consumer's id",
                mend="a lower-case letter, then letters, digits and underscores; not shuqiao",
            )
        if department not in self._catalog.departments:
            known = ", ".join(sorted(self._catalog.departments))
            raise GrantError(f"there is no department {department!r}", mend=f"one of: {known}")
        consumer = Consumer(name, department, tier)
        with self._store.writing() as connection:
            if name in ledger.all_consumers(connection):
                raise GrantError(
                    f"there is already a consumer {name}",
                    mend="another purpose is another consumer: choose another id",
                )
            ledger.put_consumer(connection, consumer, title)
        return consumer

    def consumers(self) -> list[Consumer]:
        """Every consumer."""
        with self._store.reading() as connection:
            return list(ledger.all_consumers(connection).values())

    def consumer(self, name: str) -> Consumer:
        """The consumer of that id; `GrantError` where there is none."""
        with self._store.reading() as connection:
            found = ledger.all_consumers(connection).get(name)
        if found is None:
            raise GrantError(
                f"there is no consumer {name!r}", mend="`shuqiao consumer list` shows them"
            )
        return found

    def tier_impact(self, consumer: str, tier: Level) -> list[Change]:
        """What would change for whom if the consumer had that tier."""
        policy = self._versions.active(self._today())
        stored = self.grants()
        before = decide_all(stored, self._catalog, policy)
        after = decide_all(at_tier(stored, consumer, tier), self._catalog, policy)
        return foreseen(before, after, self._catalog)

    def change_tier(
        self, consumer: str, tier: Level, author: str, approver: str, reason: str
    ) -> Consumer:
        """Give a consumer another tier and bring the shares into line; as it was before.

        A higher tier, or whatever else widens anything for anybody, needs an approver other
        than the author.
        """
        self._versions.active(self._today())
        with self._store.writing() as connection:
            found, changes = self.consumer(consumer), self.tier_impact(consumer, tier)
            check_tier(found, tier, changes, author, approver, reason)
            put_tier(connection, found, tier, author, approver, reason)
            count_up(connection)
            self._settle_in(connection)
        return found

    def tier_changes(self) -> list[TierChange]:
        """Every change of a consumer's tier, oldest first."""
        with self._store.reading() as connection:
            return tier_changes(connection)

    def add_grant(self, asked: Application) -> Outcome:
        """Give a grant, decide it, and open its share or use an equal one."""
        self._versions.active(self._today())
        with self._store.writing() as connection:
            consumer = ledger.all_consumers(connection).get(asked.consumer)
            if consumer is None:
                raise GrantError(
                    f"there is no consumer {asked.consumer!r}", mend="`shuqiao consumer add` first"
                )
            grant = asked.grant(consumer, self._catalog, self._divisions)
            for stored in ledger.all_grants(connection, self._catalog):
                ledger.refuse_second(grant, stored)
            ledger.put_grant(connection, grant)
            decided, places = self._settle_in(connection)
        return next(one for one in self._outcomes(decided, places) if one.grant.id == grant.id)

    def revoke(self, grant: str, reason: str) -> Outcome:
        """End a grant 终止 for good; its share closes where no other grant uses it."""
        return self._set_state(grant, (ACTIVE, SUSPENDED), TERMINATED, reason)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nobody changes grants, consumers or the policy until the block ends."""
        with self._store.writing():
            yield

    def ended(self, grant: str) -> Outcome | None:
        """A grant that has been ended for good; None where it has not."""
        with self._store.reading() as connection:
            if ledger.state_of(connection, grant) != TERMINATED:
                return None
            mine = ledger.unfiltered(connection, grant)
        return Outcome(mine, over(mine), None)

    def suspend(self, grant: str, reason: str) -> Outcome:
        """Suspend a grant 暂停: as ending it, until it is resumed."""
        return self._set_state(grant, (ACTIVE,), SUSPENDED, reason)

    def resume(self, grant: str, reason: str) -> Outcome:
        """Resume a suspended grant 恢复; it gets a share of its own again."""
        return self._set_state(grant, (SUSPENDED,), ACTIVE, reason)

    def impact(self, content: Content, version: int = 0) -> list[Change]:
        """What would change for whom if this content were in force instead of the version
        (0: the one in force)."""
        after = self.decided(content=content)
        try:
            before = self.decided(version)
        except PolicyError:
            self._must_be_in_force(version)
            with self._store.reading() as connection:
                before = as_shown(after, shown(connection))
        return foreseen(before, after, self._catalog)

    def _must_be_in_force(self, version: int) -> int:
        """Only the version in force is replaced where it cannot be loaded; its number."""
        newest = self._versions.newest(self._today())
        if version not in (0, newest):
            self._versions.policy(version, self._today())
        return newest

    def apply(self, content: Content, author: str, approver: str, reason: str) -> int:
        """Put a policy in force and bring the shares into line; the version's number.

        What widens anything for anybody, or loosens a rule, needs an approver other than the
        author.
        """
        self._versions.newest(self._today())
        with self._store.writing() as connection:  # nobody gives a grant or applies meanwhile
            changes, looser = self.impact(content), self.loosened(content)
            check_policy_change(changes, looser, author, approver, reason)
            number = self._versions.put(connection, content, author, approver, reason)
            self._settle_in(connection)
        return number

    def loosened(self, content: Content, version: int = 0) -> list[Loosened]:
        """What the content loosens of a version's rules (0: of those in force), whether or not
        anybody has a grant."""
        held = {effect for one in self.grants() for effect in one.released.values()}
        new = self._versions.chosen(0, content, self._today())
        try:
            old = self._versions.chosen(version, None, self._today())
        except PolicyError:
            return [Loosened(f"version.{self._must_be_in_force(version)}", UNREADABLE)]
        return loosened(old, new, list(self._catalog.datasets.values()), held)

    def settle(self) -> list[Outcome]:
        """Decide every grant as of today and bring the shares into line."""
        self._versions.active(self._today())
        with self._store.writing() as connection:
            decided, places = self._settle_in(connection)
        return self._outcomes(decided, places)

    def retire(self) -> None:
        """Close every share: each grant that stands gets another when it is decided next."""
        with self._store.writing() as connection:
            retire(connection)
            count_up(connection)

    def take_away(self) -> None:
        """Close what nobody has a right to any more, where nothing can be decided."""
        with self._store.writing() as connection:
            if take_away(connection, self._today()):
                count_up(connection)

    def decision(self, grant: str) -> Decision:
        """What the policy in force says of a grant now."""
        return _find(grant, self.decided()).decision

    def decided(self, version: int = 0, content: Content | None = None) -> list[Decided]:
        """Every grant decided today: by the policy in force, a version, or a content."""
        policy = self._versions.chosen(version, content, self._today())
        with self._store.reading() as connection:
            return decide_all(ledger.all_grants(connection, self._catalog), self._catalog, policy)

    def grants(self) -> list[ledger.Stored]:
        """Every grant with its state, in the order given."""
        with self._store.reading() as connection:
            return ledger.all_grants(connection, self._catalog)

    def grant(self, grant: str) -> ledger.Stored:
        """The grant of that id."""
        return _find(grant, self.grants())

    def shares(self, dataset: str = "") -> list[Share]:
        """The shares that today's decisions allow, of one dataset or of all."""
        return [one.share for one in self.audiences(dataset)]

    def share(self, share: str) -> Share:
        """The share of that id, whatever its state."""
        with self._store.reading() as connection:
            found = connection.execute(
                select(shares_table).where(shares_table.c.id == share)
            ).mappings()
            row = found.one_or_none()
        if row is None:
            raise GrantError(f"there is no share {share!r}", mend="`shuqiao share list`")
        return self._made.share(row)

    def audiences(self, dataset: str = "") -> list[Audience]:
        """The same shares, each with the consumers that may read it today."""
        found = self._audiences()
        return [one for one in found if dataset in ("", one.share.dataset)]

    def readable(self, share: str, consumer: str) -> Share:
        """The share, where the consumer may read it today; `GrantError` otherwise."""
        for found in self._audiences():
            if found.share.id == share and consumer in found.readers:
                return found.share
        self.share(share)
        raise GrantError(
            f"{consumer} has no right to share {share}",
            mend="`shuqiao share list` shows every share and who may read it",
        )

    def was_given(self, share: str, consumer: str) -> bool:
        """Whether the consumer was ever given that share."""
        pair = readers_table.c.share == share, readers_table.c.consumer == consumer
        with self._store.reading() as connection:
            return connection.execute(select(readers_table).where(*pair)).first() is not None

    def revision(self) -> tuple[int, date]:
        """What was read of the sharing state holds as long as this does not change."""
        return glance(self._store), self._today()

    def _audiences(self) -> list[Audience]:
        with self._deciding:  # of many that ask after a change, one decides
            known, today = self._known, self._today()
            if known is not None and known[0] == self.revision():
                return known[1]
            self._known = self._decide_audiences(today)
            return self._known[1]

    def _decide_audiences(self, today: date) -> tuple[tuple[int, date], list[Audience]]:
        self._versions.active(today)
        with self._store.reading() as connection:
            mark = current(connection), today
            policy = self._versions.active_in(connection, today)
            grants = ledger.all_grants(connection, self._catalog)
            decided = decide_all(grants, self._catalog, policy)
            rows, generations = open_rows(connection), stored_generations(connection)
        return mark, self._made.of(decided, rows, generations)

    def _set_state(self, grant: str, allowed: tuple[str, ...], state: str, reason: str) -> Outcome:
        if not reason.strip():
            raise GrantError("a reason is missing", where=grant, mend="--reason '…'")
        if state == ACTIVE:
            self._versions.active(self._today())
        with self._store.writing() as connection:
            found = ledger.state_of(connection, grant)
            if found not in allowed:
                raise GrantError(
                    f"grant {grant} is {found}", mend=f"only {' or '.join(allowed)} can be"
                )
            ledger.set_state(connection, grant, state, reason.strip())
            count_up(connection)
            try:
                with connection.begin_nested():
                    decided, places = self._settle_in(connection)
            except (PolicyError, CatalogError):
                if state == ACTIVE:
                    raise
                take_away(connection, self._today())
                mine = ledger.unfiltered(connection, grant)
                return Outcome(mine, over(mine), None)
        return next(one for one in self._outcomes(decided, places) if one.grant.id == grant)

    def _settle_in(self, connection: Connection) -> tuple[list[Decided], dict[str, Place]]:
        expired = ledger.expire(connection, self._today())
        policy = self._versions.active_in(connection, self._today())
        grants = ledger.all_grants(connection, self._catalog)
        decided = decide_all(grants, self._catalog, policy)
        places, changed = settle(connection, self._catalog, decided, self._elsewhere)
        if changed or expired:
            count_up(connection)
        return decided, places

    def _outcomes(self, decided: list[Decided], places: dict[str, Place]) -> list[Outcome]:
        wanted = {name for place in places.values() for name in (place.share, place.opening)}
        with self._store.reading() as connection:
            query = select(shares_table).where(shares_table.c.id.in_(wanted - {None}))
            shares = {
                row["id"]: self._made.share(row) for row in connection.execute(query).mappings()
            }
        return [
            Outcome(
                one.grant,
                one.decision,
                shares.get(places[one.grant.id].share or ""),
                shares.get(places[one.grant.id].opening or ""),
            )
            for one in decided
        ]


def _find(name: str, among: Iterable[_Found]) -> _Found:
    for one in among:
        if one.grant.id == name:
            return one
    raise GrantError(f"there is no grant {name!r}", mend="`shuqiao grant list` shows them")
