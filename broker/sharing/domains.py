"""Pseudonym domains and their generations.

Law: where an item falls from what shows the value (keep, edges, tail4) to pseudonym, its
domain gets a new key generation: the copy in clear would unlock the old one. A
generation is part of the identity of the shares in it.
"""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, insert, select, update

from broker.sharing.decided import Decided
from broker.store.tables import domain as table

SHOWN = frozenset({"keep", "edges", "tail4"})
"""Effects that show a value or a part that singles it out."""


def generations(connection: Connection, decided: Iterable[Decided]) -> dict[str, int]:
    """Every domain's generation by name, counted up now where an item fell to pseudonym.

    `shown` remembers, as "grant item", what was shown in clear in this generation.
    """
    rows = {row.name: row for row in connection.execute(select(table)).all()}
    now: dict[str, set[str]] = defaultdict(set)
    hidden: dict[str, set[str]] = defaultdict(set)
    alive: dict[str, set[str]] = defaultdict(set)
    for one in decided:
        if one.decision.refused:
            continue
        name = one.decision.domain
        alive[name].add(one.grant.id)
        for item, effect in one.decision.released.items():
            mark = f"{one.grant.id} {item}"
            if effect.name in SHOWN:
                now[name].add(mark)
            elif effect.name == "pseudonym":
                hidden[name].add(mark)
    found: dict[str, int] = {}
    for name in rows.keys() | alive.keys():
        before = set(rows[name].shown) if name in rows else set()
        generation = rows[name].generation if name in rows else 0
        items = {mark.partition(" ")[2] for mark in hidden[name]}
        fallen = {
            mark
            for mark in before - now[name]
            if mark in hidden[name]
            or (mark.partition(" ")[0] not in alive[name] and mark.partition(" ")[2] in items)
        }
        found[name] = generation + bool(fallen)
        shown = sorted((before - fallen) | now[name])
        values = {"generation": found[name], "shown": shown}
        if name not in rows:
            connection.execute(insert(table).values(name=name, **values))
        elif (found[name], shown) != (generation, sorted(before)):
            connection.execute(update(table).where(table.c.name == name).values(**values))
    return found


def stored_generations(connection: Connection) -> dict[str, int]:
    """Every domain's generation as it stands."""
    rows = connection.execute(select(table.c.name, table.c.generation)).all()
    return {row.name: row.generation for row in rows}
