"""Values are looked for in the bytes of the log's files, across chunks, in both files."""

from pathlib import Path

import pytest

from broker.cli.demo import ending
from broker.cli.demo.engine import files_of


def test_values_are_found_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_CHUNK", 7)
    values = [b"across-two", b"walled", b"nowhere"]
    file = tmp_path / "log.db"
    files = files_of(file, tmp_path / "engine")
    assert ending._found(files, values) == 0
    file.write_bytes(b"12345across-two67")
    assert ending._found(files, values) == 1
    (tmp_path / "log.db-wal").write_bytes(b"....walled")
    assert ending._found(files, values) == 2
    (tmp_path / "log.db-wal").write_bytes(b"")
    assert ending._found(files, []) == 0


def test_of_a_kafka_every_segment_is_looked_at(tmp_path: Path) -> None:
    data = tmp_path / "kafka" / "node1" / "data"
    for topic in ("shared.x-0", "shared.x-1.delete"):
        (data / topic).mkdir(parents=True)
        (data / topic / "0.log").write_bytes(b"value of " + topic.encode())
        (data / topic / "0.index").write_bytes(b"value of nobody")
    (tmp_path / "kafka" / "node1" / "output.log").write_bytes(b"value of nobody")
    files = files_of(tmp_path / "log.db", tmp_path)
    assert ending._found(files, [b"shared.x-0", b"shared.x-1", b"nobody"]) == 2
