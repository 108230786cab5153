"""`reconcile`: what is missing, superfluous or differing in a share, by position."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import typer
from rich.console import Console

from broker.bootstrap import Broker
from broker.cli import reconcile as command
from broker.cli.output import OUTPUT
from broker.cli.reconcile import compare_all
from broker.log.interface import Append, Batch
from broker.log.topics import share_positions
from broker.registry import unframe
from broker.relay.reconcile import DIFFERING, MISSING, SUPERFLUOUS, Verdict
from broker.sharing.service import Outcome
from tests import city

NOW = datetime.now() - timedelta(days=1)
DATASET = "ga.resident_base"


def people(folder: Path, count: int, **changes: str) -> None:
    city.use_mapping(folder)
    rows = (city.resident(n, NOW, **changes) for n in range(count))
    city.put(city.county(folder, "371502"), *rows)


def shared(broker: Broker) -> Outcome:
    """What one consumer has after collecting and relaying."""
    city.collect(broker)
    one = city.grant(broker, "a", "name")
    city.relay(broker)
    return one


def test_what_is_wrong_in_a_share_is_found_by_position(tmp_path: Path) -> None:
    people(tmp_path, 30)
    with city.city(tmp_path) as broker:
        one = shared(broker)
        share, dataset = one.share, broker.catalog.dataset(DATASET)
        assert share
        (found,) = broker.reconciler.compare(dataset, [share])
        assert found.exact and found.compared == 30 and found.opening == found.moving == 0
        first, second = broker.log.read(share.topic, 0, 0, 2)
        assert first.value and second.value
        other = first.value[:5] + unframe(second.value)[1]
        broker.log.commit(
            Batch(
                [
                    Append(share.topic, 0, first.key, other),
                    Append(share.topic, 0, second.key, None),
                    Append(share.topic, 1, b"a key of nobody", first.value),
                ]
            )
        )
        (found,) = broker.reconciler.compare(dataset, [share])
        assert sorted(one.kind for one in found.differences) == [DIFFERING, MISSING, SUPERFLUOUS]
        places = {one.kind: (one.partition, one.offset) for one in found.differences}
        assert places[SUPERFLUOUS] == (1, broker.log.end(share.topic, 1) - 1)
        assert places[MISSING][0] == places[DIFFERING][0] == 0
        assert "张试" not in repr(found)


def test_a_share_that_is_opening_is_said_to_be(tmp_path: Path) -> None:
    people(tmp_path, 5)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        broker.life.provision()
        assert one.share
        (found,) = broker.reconciler.compare(broker.catalog.dataset(DATASET), [one.share])
        assert (found.compared, found.opening, found.exact) == (0, 4, True)


def test_a_relay_at_work_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people(tmp_path, 40)
    with city.city(tmp_path) as broker:
        one = shared(broker)
        assert one.share
        reconciler, held = broker.reconciler, broker.reconciler._held
        turns = iter(range(1, 4))

        def moving(*words: object) -> object:
            turn = next(turns, 0)
            if turn:
                later = (NOW + timedelta(minutes=turn)).strftime("%Y-%m-%d %H:%M:%S")
                changed = [city.resident(n, NOW, xm=f"改{turn}", gxsj=later) for n in range(20)]
                city.put(city.county(tmp_path, "371502"), *changed)
                city.collect(broker)
                city.relay(broker)
            return held(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(reconciler, "_held", moving)
        (found,) = reconciler.compare(broker.catalog.dataset(DATASET), [one.share])
        assert found.exact and found.moving == 0 and next(turns, 0) == 0


def change(folder: Path, broker: Broker, turn: int) -> None:
    """Every resident's row changes, and goes the whole way."""
    later = (NOW + timedelta(minutes=turn)).strftime("%Y-%m-%d %H:%M:%S")
    city.fill(folder, range(10), NOW, xm=f"改{turn}", gxsj=later)
    city.collect(broker)
    city.relay(broker)


def typed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    """`shuqiao reconcile` as typed: its exit status and what it said."""
    monkeypatch.setenv("SHUQIAO_STATE", str(folder))
    monkeypatch.setattr(OUTPUT, "lang", "en")
    monkeypatch.setattr(OUTPUT, "as_json", False)
    monkeypatch.setattr(OUTPUT, "console", Console())
    capsys.readouterr()
    try:
        command.reconcile(*words or ("",))
    except typer.Exit as end:
        return end.exit_code, capsys.readouterr().out
    return 0, capsys.readouterr().out


def test_a_live_share_without_a_topic_is_no_share_that_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people(tmp_path, 5)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one, other = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        city.relay(broker)
        assert one.share and other.share
        assert typed(tmp_path, monkeypatch, capsys)[0] == 0
        broker.log.delete_topic(one.share.topic)
        found = {found.share: found for found in compare_all(broker)}
        assert found[one.share.id].verdict is Verdict.NO_TOPIC and not found[one.share.id].exact
        assert found[other.share.id].verdict is Verdict.EXACT
    status, said = typed(tmp_path, monkeypatch, capsys)
    assert status == 1 and f"{one.share.id} has no topic" in said and "every share" not in said


def test_a_live_share_whose_place_is_lost_is_not_exact(tmp_path: Path) -> None:
    people(tmp_path, 5)
    with city.city(tmp_path) as broker:
        one = shared(broker)
        assert one.share
        broker.log.forget(share_positions(one.share.id))
        (found,) = compare_all(broker)
        assert found.verdict is Verdict.NOT_COMPARED and not found.exact


def test_where_nothing_was_compared_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people(tmp_path, 5)
    status, said = typed(tmp_path, monkeypatch, capsys)
    assert status == 0 and "nothing to compare" in said and "every share" not in said
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "name")
        broker.life.provision()
        assert one.share
        status, said = typed(tmp_path, monkeypatch, capsys)
        assert status == 0 and "nothing to compare" in said and "every share" not in said
        assert typed(tmp_path, monkeypatch, capsys, one.share.id)[0] == 1, "it was asked for"
        city.relay(broker)
        broker.sharing.revoke(one.grant.id, "r")
        broker.life.advance()
    status, said = typed(tmp_path, monkeypatch, capsys, one.share.id)
    assert status == 1 and f"{one.share.id} is closed" in said


def test_what_moves_all_through_the_comparison_is_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people(tmp_path, 10)
    with city.city(tmp_path) as broker:
        one = shared(broker)
        assert one.share
        held, turns = broker.reconciler._held, iter(range(1, 1_000))

        def moving(*words: object) -> object:
            change(tmp_path, broker, next(turns))
            return held(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(broker.reconciler, "_held", moving)
        (found,) = compare_all(broker)
        assert found.moving == 10 and found.compared == 0 and not found.differences
        assert found.verdict is Verdict.NOT_SETTLED and not found.exact
        monkeypatch.setattr(command, "compare_all", lambda *words: iter([found]))
        status, said = typed(tmp_path, monkeypatch, capsys)
    assert status == 1 and "again" in said and "every share" not in said


def test_a_share_that_closes_meanwhile_is_said_to_and_keeps_nobody_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(tmp_path, 10)
    with city.city(tmp_path) as broker, city.city(tmp_path) as beside:
        city.collect(broker)
        ends, stays = city.grant(broker, "a", "name"), city.grant(broker, "b", "sex")
        city.relay(broker)
        assert ends.share and stays.share
        held = broker.reconciler._held
        left = [ends.grant.id]

        def closing(*words: object) -> object:
            while left:
                beside.sharing.revoke(left.pop(), "r")
                beside.life.advance()
            return held(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(broker.reconciler, "_held", closing)
        found = {one.share: one for one in compare_all(broker)}
        assert found[ends.share.id].verdict is Verdict.CLOSED and found[ends.share.id].exact
        assert found[stays.share.id].verdict is Verdict.EXACT
        assert found[stays.share.id].compared == 10


def test_a_dataset_is_opened_once_for_all_its_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(tmp_path, 10)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        for number, items in enumerate(("name", "sex", "name sex")):
            city.grant(broker, f"c{number}", items)
        city.relay(broker)
        opened, open_ = [0], broker.sealer.open

        def counting(*words: object) -> object:
            opened[0] += 1
            return open_(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(broker.sealer, "open", counting)
        assert [(one.compared, one.exact) for one in compare_all(broker)] == [(10, True)] * 3
        assert opened[0] == 10


def test_a_year_that_turns_meanwhile_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was under 14 last year is in the share once the yearly pass has been there: a record
    that the relay has not read anew since the comparison began."""
    city.use_mapping(tmp_path)
    born = date(2012, 6, 1)
    minors = [
        city.resident(n, NOW, gmsfhm=city.id_number(n, born), csrq=f"{born:%Y%m%d}")
        for n in range(40)
    ]
    adults = [city.resident(n, NOW) for n in range(100, 108)]
    city.put(city.county(tmp_path, "371502"), *minors, *adults)
    with (
        city.city(tmp_path, date(2026, 12, 31)) as broker,
        city.city(tmp_path, date(2027, 1, 1)) as beside,
    ):
        one = shared(broker)
        assert len(city.shown(broker, one)) == 8
        held, turns = broker.reconciler._held, iter(["the year turns"])

        def turning(*words: object) -> object:
            if next(turns, ""):
                city.relay(beside)
            return held(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(broker.reconciler, "_held", turning)
        (found,) = compare_all(broker)
        assert len(city.shown(beside, one)) == 48
        assert found.verdict is Verdict.EXACT and not found.differences and found.moving == 0
