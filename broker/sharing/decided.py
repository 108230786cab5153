"""Every grant decided, in the order given, each with its department's earlier ones.

Law: holdings are effects as released: what a grant ever showed binds the later ones. A
grant whose first day is still to come holds what it will release then. Of holdings that no
guard can tell apart (same dataset, join and effects) one stands for all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from broker.catalog import Catalog
from broker.model import Dataset
from broker.policy.decide import decide
from broker.policy.effects import join
from broker.policy.model import Decision, Effect, Grant, Holding, Policy
from broker.sharing.grants import PENDING, SUSPENDED, Stored


@dataclass(frozen=True, slots=True)
class Decided:
    """A grant decided; `released` is the loosest it ever released, now included.

    `ahead` is what will be decided once the grant is valid: of a suspended one as if it were
    resumed, of a pending one as of its first day; of any other the decision itself.
    """

    grant: Grant
    decision: Decision
    ahead: Decision
    released: Mapping[str, Effect]
    stored: Stored
    state: str
    """The grant's on the day that was decided for."""


def decide_all(stored: Iterable[Stored], catalog: Catalog, policy: Policy) -> list[Decided]:
    """The decisions as of the policy's day."""
    held: dict[str, dict[object, tuple[Holding, Dataset]]] = defaultdict(dict)
    decided: list[Decided] = []
    for one in stored:
        grant = one.grant
        dataset = catalog.dataset(grant.dataset)
        mine = held[grant.consumer.department]
        holdings = list(mine.values())
        decision = decide(grant, holdings, dataset, policy)
        released = _joined(one.released, decision, dataset)
        effects, ahead = released, decision
        state = one.state_on(policy.as_of)
        if state in (SUSPENDED, PENDING):
            first = replace(policy, as_of=max(policy.as_of, grant.valid_from))
            ahead = decide(replace(grant, ended=False), holdings, dataset, first)
        if not grant.ended:
            effects = _joined(released, ahead, dataset)
        alike = grant.dataset, grant.join_domain, frozenset(effects.items())
        mine.setdefault(alike, (Holding(grant, effects), dataset))
        decided.append(Decided(grant, decision, ahead, released, one, state))
    return decided


def _joined(
    released: Mapping[str, Effect], decision: Decision, dataset: Dataset
) -> dict[str, Effect]:
    """What was released, together with what the decision releases: the looser of each item."""
    joined = dict(released)
    for name, effect in decision.released.items() if not decision.refused else ():
        joined[name] = join(dataset.by_name[name].kind, joined.get(name, effect), effect)
    return joined
