"""Rows that are read column by column are read as one by one: the same bytes for every cell, the
same records, owners, quarantine and counts for every batch, whoever owns the keys and whatever is
broken.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stdnum.cn import ric

from broker.log.interface import Batch
from broker.model import Item, Kind
from broker.projection import written
from broker.projection.avro import Codec
from broker.pseudonym import KeyedHash, keyed_hash
from broker.seal import Sealer
from connectors.collect import Collector, Secrets
from connectors.collected import Collected
from connectors.columns import compiled, exactly
from connectors.convert import Cell, Converter
from connectors.mapping import Mapping, load_mapping
from connectors.moments import Moments, milliseconds
from connectors.source import Row, Whole
from tests.city import id_number
from tests.laws import records as r

FLOOR = 20
seen: Counter[str] = Counter()
MAPPINGS = [
    mapping
    for file in sorted((r.SCHEMAS.parent / "connectors/samples/mappings").glob("*.yaml"))
    for mapping in load_mapping(file, r.CATALOG, Path("/nowhere"))
]
ZONES = [ZoneInfo(name) for name in ("Asia/Shanghai", "UTC", "America/New_York")]
TIMES = [
    datetime(2024, 3, 10, 2, 30),  # does not exist in New York
    datetime(2023, 11, 5, 1, 30),  # there twice
    datetime(1986, 5, 4, 3, 30),  # the day on which Shanghai went over to summer time
    datetime(1988, 1, 2, 23, 59),
    datetime(1969, 12, 31, 23, 59),
    datetime(1970, 1, 1, 8, 0, 1),
    datetime(2024, 2, 29),
    datetime(2025, 6, 1, 10, 10, 10),
    datetime(2025, 6, 1, 10, 10, 11),
    datetime(2039, 9, 7, 15, 47, 35),
    datetime(2100, 1, 1),
]
PEOPLE = [id_number(index, date(1950 + 9 * index, 2, 28)) for index in range(5)]
BORN = [
    start + ric.calc_check_digit(start + "0")
    for born in ("20000229", "20230229", "00000101", "18990101", "20241301", "20240100")
    for start in (f"371502{born}123",)
]
"""ID numbers of days that are not every year's, or no days, with right check digits."""
MISTYPED = [PEOPLE[0][:place] + "7" + PEOPLE[0][place + 1 :] for place in range(18)]
BROKEN: list[Any] = [
    None, "", " ", "\u3000", "x", " 1 ", "0", "1", 1, 0, True, 1.0, 1.5, -0.0, Decimal("1.0"), b"1",
    "a\0b", "\udcff", "名\ud800", "12,000.50", "1e3", "-0.001", "NaN", "9" * 11, "字" * 1400,
    "y" * 5000, "z" * 1_000_001, " " * 1_000_001 + "1", PEOPLE[0], PEOPLE[0].lower(),
    PEOPLE[0][:17] + "0", PEOPLE[0][:17] + "x", PEOPLE[0] + "\n", "３" + PEOPLE[0][1:],
    *BORN, "13812345678", "１３８1234-5678",
    "20240230", "2024-02-30", "2024-2-3", " 2024-02-03", "2024-02-03 25:00:00", "2024/02/03 04:05",
    "2024-02-03T04:05:06Z", "２024-02-03", "2024年02月", date(2024, 2, 3), datetime(2024, 2, 3, 4),
    datetime(2024, 2, 3, 4, tzinfo=UTC), datetime(2024, 2, 3, 4, 5, 6, 789_123), timedelta(1),
    datetime.max, "371502001001", "371502001099", "37150200100", 371502001001,
]  # fmt: skip
"""Cells that are wrong somewhere, or right in an unusual way."""
WHOLES = [None, None, Whole(False, True), Whole(False, False, "file"), Whole(False, True, "file")]


class Keys:
    """A keyring with every key."""

    def key(self, name: str) -> bytes:
        return name.encode().ljust(32, b"\0")[:32]


class Tables:
    """A log of which nothing but its tables is asked."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, int], dict[bytes, bytes]] = defaultdict(dict)

    def entries(self, table: str, partition: int, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        known = self.stored[table, partition]
        return {key: known[key] for key in keys if key in known}

    def commit(self, batch: Batch) -> None:
        for table, partition, values in batch.all_entries():
            for key, value in values.items():
                if value is None:
                    self.stored[table, partition].pop(key, None)
                else:
                    self.stored[table, partition][key] = value


sealer = Sealer(Keys())  # type: ignore[arg-type]


def plain(cell: Cell) -> st.SearchStrategy[Any]:
    """Cells of a column that nothing is wrong with."""
    item = cell.item
    if item.kind is Kind.CITIZEN_ID:
        return st.sampled_from(PEOPLE[:3])
    if item.kind is Kind.DIVISION_CODE:
        return st.sampled_from(r.VILLAGES[:3])
    match item.logical:
        case "timestamp-millis":
            usual = st.sampled_from(TIMES[6:9]) | st.sampled_from(TIMES)
            return usual.map(lambda time: time.strftime(cell.format))
        case "date":
            return st.sampled_from(TIMES).map(lambda time: time.strftime(cell.format))
        case "decimal":
            return st.sampled_from(["100", "1,200.50", "-3.1"])
        case "int" | "long":
            return st.sampled_from(["1", "2", "12"])
        case "boolean":
            return st.sampled_from(["Y", "N"])
        case _:
            return _words(item)


def _words(item: Item) -> st.SearchStrategy[Any]:
    if item.kind is Kind.IDENTIFIER:
        return st.sampled_from(["A1", 'B"2', "丙3"])
    return st.sampled_from(["1", "2", "张三", "护理", "因病", "在保", " 空 ", None, ""])


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    """A sample's mapping, in any zone; times may be written otherwise."""
    mapping = replace(draw(st.sampled_from(MAPPINGS)), zone=draw(st.sampled_from(ZONES)))
    form = draw(st.sampled_from(["", "", "%Y%m%d%H%M%S", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S"]))
    if not form:
        return mapping
    columns = [
        replace(one, format=form) if one.item == "updated_at" else one for one in mapping.columns
    ]
    return replace(mapping, columns=tuple(columns))


def converter(mapping: Mapping) -> Converter:
    return Converter(r.CATALOG.datasets[mapping.dataset], mapping, r.DIVISIONS)


@st.composite
def rows(draw: st.DrawFn, mapping: Mapping, with_ids: bool) -> list[Row]:
    """A batch, of which some rows are broken, some deleted, and keys come twice."""
    found = []
    for number in range(draw(st.integers(0, 7))):
        cells = {cell.column: draw(plain(cell)) for cell in converter(mapping).cells}
        codes = [one for one in mapping.columns if one.codes]
        cells |= {one.name: draw(st.sampled_from(sorted(one.codes or {}))) for one in codes}
        if draw(st.integers(0, 2)) == 0:
            cells[draw(st.sampled_from(sorted(cells)))] = draw(st.sampled_from(BROKEN))
        row = Row(
            f"row {number}",
            cells,
            repr(cells).encode("utf-8", "backslashreplace")[:100],
            deleted=draw(st.integers(0, 5)) == 0,
            id=draw(st.sampled_from("ab12")) if with_ids and draw(st.booleans()) else "",
            origin=draw(st.sampled_from([b""] * 9 + [b"elsewher"])),
        )
        found.append(row)
        if draw(st.integers(0, 5)) == 0:
            found.append(replace(row, where=f"row {number} again"))
    return found


def told(done: Collected) -> dict[str, Any]:
    """All that came of a batch; what is sealed, opened, and keys that are drawn left out."""
    records: list[Any] = []
    for topic, partition, keys, values in done.batch.all_runs():
        for key, value in zip(keys, values, strict=True):
            body = value and sealer.open(topic, key, value)
            if topic.startswith("quarantine."):
                assert body
                records.append((topic, json.dumps(json.loads(body.body), sort_keys=True)))
            else:
                records.append((topic, partition, key, body))
    return {
        "records": Counter(records),
        "entries": {
            (table, partition, key): value
            for table, partition, values in done.batch.all_entries()
            for key, value in values.items()
        },
        "counts": done.counts,
        "wrong": Counter((id(row), fault) for row, fault in done.wrong),
        "overtaken": done.overtaken,
        "marks": done.marks,
    }


@pytest.fixture(autouse=True, scope="module")
def floors() -> Iterator[None]:
    yield
    short = {name: count for name, count in seen.items() if count < FLOOR}
    assert not short, f"too few interesting cases: {short}"


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_batch_is_collected_column_by_column_as_row_by_row(data: st.DataObject) -> None:
    mapping = data.draw(mappings())
    dataset = r.CATALOG.datasets[mapping.dataset]
    logs, with_ids = {False: Tables(), True: Tables()}, data.draw(st.integers(0, 3)) == 0
    collectors = {
        (source, one_by_one): Collector(
            dataset,
            source,
            converter(mapping),
            log=logs[one_by_one],  # type: ignore[arg-type]
            sealer=sealer,
            schema_id=7,
            secrets=Secrets(b"record" * 6, b"row" * 11),
            one_by_one=one_by_one,
        )
        for source in ("a", "b")
        for one_by_one in logs
    }
    before: list[Row] = []
    for _ in range(data.draw(st.integers(1, 6))):
        source, whole = data.draw(st.sampled_from("aab")), data.draw(st.sampled_from(WHOLES))
        batch = data.draw(rows(mapping, with_ids)) + (before if data.draw(st.booleans()) else [])
        batch, before = data.draw(st.permutations(batch)), batch[:4]
        origin = data.draw(st.sampled_from([b"", b"file one", b"file two"]))
        fast, slow = (
            collectors[source, one_by_one].collect(batch, origin, whole)
            for one_by_one in (False, True)
        )
        assert told(fast) == told(slow)
        assert collectors[source, False].met == collectors[source, True].met
        for one_by_one, done in ((False, fast), (True, slow)):
            logs[one_by_one].commit(done.batch)
        assert logs[False].stored == logs[True].stored
        count = fast.counts
        for name in ("appended", "deleted", "unchanged", "outdated", "duplicates", "superseded"):
            seen[name] += bool(getattr(count, name))
        seen.update({*count.reasons} & {"owned_by_other_source", "duplicate_key"})
        seen["taken together"] += bool(fast.batch.runs)
        seen["beside others"] += bool(fast.batch.runs and fast.batch.appends)


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_column_is_written_as_cell_by_cell(data: st.DataObject) -> None:
    mapping = data.draw(mappings())
    schema, reader = r.CATALOG.datasets[mapping.dataset].schema, converter(mapping)
    kinds = (Kind.IDENTIFIER, Kind.CITIZEN_ID, Kind.DATE_TIME)
    likely = [one for one in reader.cells if one.item.kind in kinds]
    cell = data.draw(st.sampled_from(likely) | st.sampled_from(reader.cells))
    field = next(one for one in schema["fields"] if one["name"] == cell.item.name)
    wrong = st.sampled_from(BROKEN) | st.sampled_from([*BORN, *MISTYPED])
    one = st.one_of(plain(cell), plain(cell), plain(cell), wrong, st.text())
    cells = data.draw(st.lists(one, max_size=8))
    wanted = list(map(exactly(cell, reader, field), cells))
    if cell.item.name == "updated_at":
        found, times = Moments(cell, reader, field).read(cells)
        for raw, got, time in zip(cells, found, times, strict=True):
            assert got is None or time == milliseconds(reader.read(cell, raw))
    else:
        found = compiled(cell, reader, field).written(cells)
    assert found == wanted
    seen["refused"] += None in wanted
    seen["a whole column"] += None not in wanted


@settings(max_examples=500)
@given(st.integers(written.FIRST, written.BEHIND - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers_are_written_as_by_the_codec(time: int, number: int) -> None:
    codec = Codec({"type": "record", "name": "a", "fields": [{"name": "n", "type": "long"}]})
    assert written.times([time]) == [codec.encode({"n": time})]
    assert written.number(number) == codec.encode({"n": number})


@settings(max_examples=200)
@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), max_size=5))
def test_many_are_hashed_as_each(secret: bytes, data: list[bytes]) -> None:
    assert KeyedHash(secret).all(data) == [keyed_hash(secret, one) for one in data]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=300)), max_size=5))
def test_many_are_sealed_as_each(records: list[tuple[bytes, bytes]]) -> None:
    keys, bodies = [key for key, _ in records], [body for _, body in records]
    sealed = sealer.seal_all("topic", keys, 9, bodies)
    assert list(map(lambda key, one: sealer.open("topic", key, one), keys, sealed)) == [
        (9, body) for body in bodies
    ]
    assert len({one[5:17] for one in sealed}) == len(sealed), "a nonce is used twice"
