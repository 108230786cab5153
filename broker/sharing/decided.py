"""Every grant decided, in the order given, each with its department's earlier ones.

Law: holdings are effects as released: what a grant ever showed binds the later ones. A
grant whose first day is still to come holds what it will release then.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from broker.catalog import Catalog
from broker.model import Dataset
from broker.policy.decide import decide
from broker.policy.effects import join
from broker.policy.model import Decision, Effect, Grant, Holding, Policy
from broker.sharing.grants import Stored


@dataclass(frozen=True, slots=True)
class Decided:
    """A grant decided; `released` is the loosest it ever released, now included."""

    grant: Grant
    decision: Decision
    released: Mapping[str, Effect]
    stored: Stored


def decide_all(stored: Iterable[Stored], catalog: Catalog, policy: Policy) -> list[Decided]:
    """The decisions as of the policy's day."""
    held: dict[str, list[tuple[Holding, Dataset]]] = defaultdict(list)
    decided: list[Decided] = []
    for one in stored:
        grant = one.grant
        dataset = catalog.dataset(grant.dataset)
        holdings = held[grant.consumer.department]
        decision = decide(grant, holdings, dataset, policy)
        released = _joined(one.released, decision, dataset)
        first = replace(policy, as_of=max(policy.as_of, grant.valid_from))
        coming = decide(grant, holdings, dataset, first)
        holdings.append((Holding(grant, _joined(released, coming, dataset)), dataset))
        decided.append(Decided(grant, decision, released, one))
    return decided


def _joined(
    released: Mapping[str, Effect], decision: Decision, dataset: Dataset
) -> dict[str, Effect]:
    """What was released, together with what the decision releases: the looser of each item."""
    joined = dict(released)
    for name, effect in decision.released.items() if not decision.refused else ():
        joined[name] = join(dataset.by_name[name].kind, joined.get(name, effect), effect)
    return joined
