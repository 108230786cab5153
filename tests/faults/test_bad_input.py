"""Bad mappings, policies, keyrings, scopes, and a full disk: where it is and what to do."""

import json
from pathlib import Path

import pytest

from broker.errors import (
    GrantError,
    KeyringError,
    LogFull,
    MappingError,
    PolicyError,
    SettingsError,
    StoreError,
)
from broker.model import Level
from broker.policy.load import load_policy
from tests import city, recompute
from tests.faults.bad import NOW, SECRET, live


def test_a_mapping_that_names_a_column_twice(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    city.county(tmp_path, "371502")
    file = tmp_path / "mappings" / "ga_resident_base.yaml"
    text = file.read_text("utf-8").replace("  xzqh:", "  xm: status\n  xzqh:")
    file.write_text(text, "utf-8")
    number = text.splitlines().index("  xm: status") + 1
    with city.city(tmp_path) as broker, pytest.raises(MappingError) as error:
        broker.mappings()
    assert error.value.where == f"{file}:{number}" and "twice" in error.value.what


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  xm: name\n", "  xm: nonsense\n", "no item 'nonsense'"),
        ("  xm: name\n", "", "items without a column: name"),
        ("timezone: Asia/Shanghai\n", "", "timezone is missing"),
        ("timezone: Asia/Shanghai", "timezone: Asia/Nowhere", "unknown time zone"),
        ("ignore: [bz]", "ignore: [bz, xm]", "column xm is named twice"),
        ("  kind: sql", "  kind: fax", "source.kind is unknown"),
        ("deletes: soft_delete", "deletes: none", "deletes of ga.resident_base are seen by"),
        ("dataset: ga.resident_base", "dataset: ga.nothing", "no dataset 'ga.nothing'"),
        ("ignore:", "ignored:", "unknown word 'ignored'"),
        ("  xm: name", "  xm:\tname", "a tab"),
        ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "do not sort"),
        ("%Y-%m-%d %H:%M:%S", "%Y-%d-%m", "do not sort"),
        ("%Y-%m-%d %H:%M:%S", "%Y年%B", "do not sort"),
    ],
)
def test_a_wrong_mapping_names_file_and_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    city.use_mapping(tmp_path)
    city.county(tmp_path, "371502")
    file = tmp_path / "mappings" / "ga_resident_base.yaml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
    with city.city(tmp_path) as broker, pytest.raises(MappingError) as error:
        broker.mappings()
    assert says in error.value.what and error.value.where.startswith(f"{file}:")
    assert error.value.mend


def test_a_policy_file_with_an_unknown_item(tmp_path: Path) -> None:
    rules = tmp_path / "policies" / "rules"
    rules.mkdir(parents=True)
    (rules / "x.yaml").write_text(
        "rules:\n- {id: x, title: t, reason: r, owner: ga, forbid: {items: [shoe_size]}}\n"
    )
    with city.city(tmp_path) as broker, pytest.raises(PolicyError) as error:
        load_policy(broker.policy_folders, broker.catalog, broker.today)
    assert error.value.where == f"{rules / 'x.yaml'}:2" and "shoe_size" in error.value.what


def test_a_keyring_of_mode_0644(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        broker.keyring.ensure("seal")
    broker.settings.keyring_path.chmod(0o644)
    with city.city(tmp_path) as other, pytest.raises(KeyringError, match="chmod 600"):
        assert other.sealer


def test_a_keyring_that_lacks_the_key_of_old_records(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    path = city.county(tmp_path, "371502")
    city.put(path, city.resident(1, NOW), city.resident(2, NOW))
    with city.city(tmp_path) as broker:
        city.collect(broker)
        one = city.grant(broker, "a", "id_no", tier=Level.L2)
        city.relay(broker)
        assert len(city.shown(broker, one)) == 2
    keyring = broker.settings.keyring_path
    right = keyring.read_text()
    for lost, says in (
        ("seal", "lacks the key 'seal'"),
        ("record.ga.resident_base", "lacks the key 'record"),
        (f"share.{one.share.id if one.share else ''}", "lacks the key 'share"),
        ("pseudonym.mz/测试/ga.resident_base", "lacks the key 'pseudonym"),
        ("", "not the one that this log"),
    ):
        keys = json.loads(right)["keys"]
        assert not lost or lost in keys
        keys = {name: key for name, key in keys.items() if name != lost}
        if not lost:
            keys["seal"] = "00" * 32
        keyring.write_text(json.dumps({"keys": keys}))
        with city.city(tmp_path) as broker, pytest.raises(KeyringError, match=says):
            city.put(path, city.resident(3, NOW), city.resident(4, NOW))
            city.collect(broker)
            city.relay(broker)
    keyring.write_text(right)
    with city.city(tmp_path) as broker:
        city.collect(broker)
        assert city.relay(broker).quarantined == 0
        assert recompute.held(broker, one) == recompute.wanted(broker, one)
        assert len(city.shown(broker, one)) == 4, "with the right keyring nothing is lost"


def test_a_scope_that_is_not_in_the_division_table(tmp_path: Path) -> None:
    with city.city(tmp_path) as broker:
        for code in ("3799", "37150", "3715021", "", "371502000"):
            with pytest.raises(GrantError) as error:
                city.grant(broker, "a", "name", scope=code)
            assert error.value.mend


def test_a_full_disk(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    rows = [city.resident(n, NOW, hjdz="长" * 3000) for n in range(60)]
    city.put(city.county(tmp_path, "371502"), *rows)
    with city.city(tmp_path) as broker:
        one = city.grant(broker, "a", "name hukou_addr")
        db = broker.log._db  # type: ignore[attr-defined]
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages + 40}")
        with pytest.raises(LogFull) as error:
            city.collect(broker)
        assert error.value.mend and SECRET not in str(error.value)
        kept = live(broker, "ga.resident_base")
        db.execute(f"PRAGMA max_page_count={pages + 100_000}")
        assert 0 <= kept < 60
        city.collect(broker)
        assert live(broker, "ga.resident_base") == 60
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(LogFull):
            city.relay(broker)
        db.execute(f"PRAGMA max_page_count={pages + 100_000}")
        city.relay(broker)
        assert recompute.held(broker, one) == recompute.wanted(broker, one)


def test_two_sources_of_one_name(tmp_path: Path) -> None:
    city.use_mapping(tmp_path)
    city.county(tmp_path, "371502")
    file = tmp_path / "mappings" / "ga_resident_base.yaml"
    (tmp_path / "mappings" / "zz_copy.yaml").write_text(file.read_text("utf-8"), "utf-8")
    with city.city(tmp_path) as broker, pytest.raises(MappingError, match="are named") as error:
        broker.mappings()
    assert error.value.where.endswith("zz_copy.yaml") and str(file) in error.value.mend


@pytest.mark.parametrize("form", ["%Y年%Q", "%H:%M", "year", "%Y-%m-%d %"])
def test_a_format_that_reads_no_date(tmp_path: Path, form: str) -> None:
    city.use_mapping(tmp_path)
    city.county(tmp_path, "371502")
    file = tmp_path / "mappings" / "ga_resident_base.yaml"
    old = 'csrq: {item: birth_date, format: "%Y%m%d"}'
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, old.replace("%Y%m%d", form)), "utf-8")
    with city.city(tmp_path) as broker, pytest.raises(MappingError, match="reads no date") as error:
        broker.mappings()
    assert error.value.where.startswith(f"{file}:")


def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("a file")
    with city.city(state) as broker:
        for part in ("store", "log", "keyring"):
            with pytest.raises((StoreError, SettingsError, KeyringError)) as error:
                getattr(broker, part)
            assert str(state) in error.value.where and error.value.mend
