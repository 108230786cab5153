"""The keyring and the seal."""

import subprocess
import sys
from pathlib import Path

import pytest

from broker.errors import KeyringError, Replaced, SealError
from broker.keyring import Keyring
from broker.pseudonym import Pseudonyms
from broker.seal import Sealer


def test_a_key_made_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "keyring.json"
    key = Keyring.open(path).ensure("record.x")
    assert Keyring.open(path).key("record.x") == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert key.hex() not in repr(Keyring.open(path))


def test_a_keyring_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    Keyring.open(path)
    path.chmod(0o644)
    with pytest.raises(KeyringError, match=r"mode 0644.*chmod 600"):
        Keyring.open(path)


def test_a_missing_key_is_never_made_up(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="lacks the key 'old'"):
        Keyring.open(tmp_path / "k").key("old")


def test_a_destroyed_key_is_gone(tmp_path: Path) -> None:
    ring = Keyring.open(tmp_path / "k")
    ring.ensure("share.s1")
    ring.destroy("share.s1")
    with pytest.raises(KeyringError):
        Keyring.open(tmp_path / "k").key("share.s1")


def test_processes_that_add_keys_at_once_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "k"
    add = "import sys; from pathlib import Path; from broker.keyring import Keyring\n"
    add += "ring = Keyring.open(Path(sys.argv[1]))\n"
    add += "print(*(ring.ensure(f'{sys.argv[2]}.{n}').hex() for n in range(12)))\n"
    add += "print(ring.ensure('common').hex())"
    running = [
        subprocess.Popen([sys.executable, "-c", add, str(path), name], stdout=subprocess.PIPE)
        for name in "abcd"
    ]
    told = [one.communicate(timeout=60)[0].decode().splitlines() for one in running]
    ring = Keyring.open(path)
    assert {lines[1] for lines in told} == {ring.key("common").hex()}
    for name, (keys, _) in zip("abcd", told, strict=True):
        assert [ring.key(f"{name}.{n}").hex() for n in range(12)] == keys.split()


def test_a_keyring_that_vanished_is_not_made_anew(tmp_path: Path) -> None:
    ring = Keyring.open(tmp_path / "k")
    ring.ensure("seal")
    (tmp_path / "k").unlink()
    with pytest.raises(KeyringError, match="backup"):
        ring.ensure("other")


def test_a_record_opens_only_in_its_own_place(tmp_path: Path) -> None:
    ring = Keyring.open(tmp_path / "k")
    ring.ensure("seal")
    sealer = Sealer(ring)
    sealed = sealer.seal("topic", b"key", 7, b"the body")
    assert sealer.open("topic", b"key", sealed) == (7, b"the body")
    for topic, key in (("topiC", b"key"), ("topic", b"kez"), ("topick", b"ey")):
        with pytest.raises(SealError):
            sealer.open(topic, key, sealed)


def test_no_flipped_byte_and_no_cut_opens(tmp_path: Path) -> None:
    ring = Keyring.open(tmp_path / "k")
    ring.ensure("seal")
    sealer = Sealer(ring)
    sealed = sealer.seal("topic", b"key", 7, b"the body")
    for index in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[index] ^= 1
        for damaged in (bytes(flipped), sealed[:index]):
            with pytest.raises(SealError):
                sealer.open("topic", b"key", damaged)


def test_pseudonyms_differ_between_domains() -> None:
    one, other = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32)
    assert one.of("x") == one.of("x") != other.of("x")
    assert len(one.of("x")) == 26


def test_another_keyring_in_its_place_is_noticed_and_a_changed_one_is_the_same(
    tmp_path: Path,
) -> None:
    ring, beside = Keyring.open(tmp_path / "k"), Keyring.open(tmp_path / "k")
    ring.ensure_all(["seal", "a"])
    beside.ensure("b")
    beside.destroy("a")
    ring.confirm()
    assert ring.key("b")
    (tmp_path / "k").rename(tmp_path / "away")
    with pytest.raises(Replaced, match="deleted"):
        ring.confirm()
    Keyring.open(tmp_path / "k").ensure_all(["seal", "c"])
    with pytest.raises(Replaced, match="another's place"):
        ring.confirm()
    with pytest.raises(Replaced):
        ring.key("c")
    (tmp_path / "away").rename(tmp_path / "k")
    ring.confirm()
