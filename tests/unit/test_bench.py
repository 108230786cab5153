"""The figures' rows and README's table of them: as they were written, nothing made up."""

import json
from pathlib import Path

import pytest

from tests.bench import readme, rows
from tests.bench.rows import COPY, Row, keep, kept, row_of, with_ratios

PASSES = [{"records": 100, "seconds": 0.01, "cpu": 0.001 * n} for n in (1, 3, 2)]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "results.json"
    monkeypatch.setattr(rows, "RESULTS", path)
    return path


def test_a_row_is_the_median_of_its_runs_with_their_spread() -> None:
    row = row_of("relay", "embedded", "", PASSES, peak_mb=7)
    assert (row.cpu_us_per_record, row.records_per_s, row.runs) == (20.0, 10_000, 3)
    assert row.spread == [10.0, 30.0] and row.more == {"peak_mb": 7}


def test_the_ratio_is_to_the_copy_of_the_same_engine_and_transport() -> None:
    copies = [
        Row(COPY, "kafka", "librdkafka", cpu_us_per_record=4.0),
        Row(COPY, "kafka", "kafka-python", cpu_us_per_record=60.0),
    ]
    mine = Row("relay", "kafka", "librdkafka", cpu_us_per_record=8.0)
    alone = Row("relay", "embedded", "", cpu_us_per_record=8.0)
    told = Row("latency", "kafka", "librdkafka")
    part = Row("relay: open", "kafka", "librdkafka", cpu_us_per_record=2.0, more={"part": True})
    with_ratios([mine, alone, told, part, *copies])
    assert (mine.ratio_to_copy, alone.ratio_to_copy, told.ratio_to_copy) == (0.5, None, None)
    assert part.ratio_to_copy is None


def test_a_row_takes_the_place_of_its_own_name_alone(results: Path) -> None:
    keep([Row("a", "embedded", "", 1, 1.0), Row("a", "kafka", "librdkafka", 2, 2.0)])
    keep([Row("a", "embedded", "", 3, 3.0)])
    assert [(row.engine, row.records_per_s) for row in kept()] == [("embedded", 3), ("kafka", 2)]
    found = json.loads(results.read_text())
    assert set(found) == {"machine", "date", "rows"}
    wanted = {"name", "engine", "transport", "records_per_s", "cpu_us_per_record",
              "ratio_to_copy", "runs", "spread"}  # fmt: skip
    assert all(wanted <= set(row) for row in found["rows"])


def test_another_machines_rows_are_not_kept(results: Path) -> None:
    keep([Row("a", "embedded", "", 1, 1.0)])
    found = json.loads(results.read_text())
    found["machine"]["cpus"] = 1_000
    results.write_text(json.dumps(found))
    assert kept() == []


def test_readmes_table_is_what_the_results_say() -> None:
    text = readme.README.read_text("utf-8")
    known = [Row(**one) for one in json.loads(rows.RESULTS.read_text("utf-8"))["rows"]]
    told = text.partition(readme.BEGIN)[2].partition(readme.END)[0].strip()
    assert told == readme.figures(known)


def test_delays_and_memory_are_told_beside_it() -> None:
    one = {"changes_per_s": 50, "achieved_per_s": 49, "p50_ms": 2.0, "p99_ms": 3.5}
    role = {"first_mb": 80.0, "last_mb": 81.5, "growth_percent": 1.9, "mb_per_minute": 0.15}
    rows = [
        Row("delay", "kafka", "librdkafka", more={"capacity": 100, "relay_alone": 9, "50%": one}),
        Row("delay while a share opens", "embedded", "", more={"before": one, "during": one}),
        Row("memory, 10 keys", "embedded", "", more={"keys": 10, "peak_mb": 90.5}),
        Row("memory over time", "embedded", "", more={"minutes": 10.0, "relay": role}),
        Row("latency", "embedded", "", more={"anything": {"p50_ms": 1}}),
    ]
    assert readme.figures(rows).splitlines()[5:] == [
        "| delay at 50% of 100 changes/s | kafka, librdkafka | p50 2 ms, p99 3.5 ms; 49/s made |",
        "| delay while a share opens: before | embedded | p50 2 ms, p99 3.5 ms |",
        "| delay while a share opens: during | embedded | p50 2 ms, p99 3.5 ms |",
        "| memory, 10 keys, the relay's peak | embedded | 90.5 MB |",
        "| memory of relay over 10 minutes | embedded | 80 → 81.5 MB, 0.15 MB a minute |",
    ]


def test_a_readme_without_its_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="marks"):
        readme.made("nothing here")
