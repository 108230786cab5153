"""Values are looked for in the bytes of the log's files, across chunks, in both files."""

from pathlib import Path

import pytest

from broker.cli.demo import ending


def test_values_are_found_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_CHUNK", 7)
    file, values = tmp_path / "log.db", [b"across-two", b"walled", b"nowhere"]
    assert ending._found(file, values) == 0
    file.write_bytes(b"12345across-two67")
    assert ending._found(file, values) == 1
    (tmp_path / "log.db-wal").write_bytes(b"....walled")
    assert ending._found(file, values) == 2
    (tmp_path / "log.db-wal").write_bytes(b"")
    assert ending._found(file, []) == 0
