"""A small city for tests: one state folder, sources made by hand, the real broker over it."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from stdnum.cn import ric

from broker.bootstrap import Broker
from broker.cli.share import current
from broker.model import Level
from broker.relay.role import RelayRole
from broker.relay.yearly import order_year
from broker.settings import Settings
from broker.sharing.application import Application
from broker.sharing.service import Outcome

ROOT = Path(__file__).parents[1]
TOWNS = ("371502001001", "371502002004", "371503001001", "371521001001")
"""Village codes in four towns of three counties."""
COLUMNS = ("gmsfhm", "xm", "xb", "csrq", "hjdz", "zt", "xzqh", "gxsj", "zxbz", "bz")
PERMIT_COLUMNS = (
    "jzzbh", "gmsfhm", "xm", "csrq", "jzdz", "hjqh", "qfrq", "qzyxq", "lxdh", "xzqh", "gxsj",
    "zxbz", "bz",
)  # fmt: skip


def settings(folder: Path, **more: Any) -> Settings:
    """Settings of a city in that folder."""
    return Settings(state=folder, **{"settle_seconds": 0, "overlap_seconds": 3600, **more})


@contextmanager
def city(folder: Path, today: date | None = None, **more: Any) -> Iterator[Broker]:
    """A broker over the folder, on that day if one is given; closed at the end."""
    broker = Broker(settings(folder, **more), *([clock(today)] if today else ()))
    try:
        yield broker
    finally:
        broker.close()


def clock(today: date) -> Callable[[], datetime]:
    """A clock that stands at noon of a day in the city's time zone."""
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
    return lambda: noon


def id_number(index: int, born: date, male: bool = True) -> str:
    """An invented ID number with a right check digit."""
    start = f"99{index // 499:04d}{born:%Y%m%d}{(index % 499 + 1) * 2 - male:03d}"
    return start + ric.calc_check_digit(start + "0")


def resident(index: int, at: datetime, **changes: str) -> dict[str, str]:
    """A row of t_rkxx about an invented adult."""
    born = date(1950 + index % 50, 1 + index % 12, 1 + index % 28)
    return {
        "gmsfhm": id_number(index, born),
        "xm": f"张试{index}",
        "xb": "1",
        "csrq": f"{born:%Y%m%d}",
        "hjdz": f"山东省聊城市东昌府区古楼街道古城社区居委会{index}号楼",
        "zt": "normal",
        "xzqh": TOWNS[0],
        "gxsj": at.strftime("%Y-%m-%d %H:%M:%S"),
        "zxbz": "0",
        "bz": "",
        **changes,
    }


def county(folder: Path, code: str) -> Path:
    """The file of a county's resident database, made when it is not there."""
    path = folder / "sources" / "gongan" / f"t_rkxx-{code}.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path) as db:
            db.execute(f"CREATE TABLE t_rkxx ({', '.join(f'{name} TEXT' for name in COLUMNS)})")
    return path


def put(path: Path, *rows: dict[str, Any]) -> None:
    """Write resident rows, each in place of the rows with its ID number."""
    with sqlite3.connect(path) as db:
        for row in rows:
            db.execute("DELETE FROM t_rkxx WHERE gmsfhm IS ?", (row["gmsfhm"],))
            add(db, row)


def add(db: sqlite3.Connection, row: dict[str, Any]) -> None:
    """Insert a resident row beside what is there; bytes stand as text."""
    marks = ", ".join("CAST(? AS TEXT)" for _ in COLUMNS)
    db.execute(f"INSERT INTO t_rkxx VALUES ({marks})", [row[name] for name in COLUMNS])


def fill(folder: Path, numbers: Iterable[int], at: datetime, **changes: str) -> None:
    """Residents in a county's database, with the mapping that reads them."""
    use_mapping(folder)
    put(county(folder, "371502"), *(resident(number, at, **changes) for number in numbers))


def until(says: Callable[[], Any], seconds: float) -> float:
    """Wait until it says yes; how long that took."""
    started = time.monotonic()
    while not says():
        assert time.monotonic() - started < seconds, "it did not come to pass"
        time.sleep(0.01)
    return time.monotonic() - started


def use_mapping(folder: Path, *names: str) -> None:
    """Copy sample mappings into the city."""
    target = folder / "mappings"
    target.mkdir(parents=True, exist_ok=True)
    for name in names or ("ga_resident_base",):
        text = (ROOT / "connectors" / "samples" / "mappings" / f"{name}.yaml").read_text("utf-8")
        (target / f"{name}.yaml").write_text(text, "utf-8")


def collect(broker: Broker, dataset: str = "ga.resident_base", limit: int = 7) -> list[Any]:
    """Run the dataset's sources; the reports."""
    return broker.runner(dataset, broker.mappings()).run(limit)


def grant(
    broker: Broker,
    consumer: str,
    items: str,
    *,
    dataset: str = "ga.resident_base",
    scope: str = "3715",
    tier: Level = Level.L3,
    department: str = "mz",
    **more: str,
) -> Outcome:
    """Give a consumer, made when it is not there, a grant for a year."""
    if consumer not in {one.id for one in broker.sharing.consumers()}:
        broker.sharing.add_consumer(consumer, department, tier, "")
    asked = {
        "purpose": "测试",
        "legal_basis": "b",
        "valid_from": str(broker.today),
        "valid_until": str(broker.today + timedelta(days=365)),
        "impact_assessment": "i",
        "notice": "n",
        **more,
    }
    return broker.sharing.add_grant(
        Application(consumer=consumer, dataset=dataset, items=items.split(), scope=scope, **asked)
    )


def relay(broker: Broker, dataset: str = "ga.resident_base") -> Any:
    """Bring the dataset's shares up to date."""
    broker.sharing.settle()
    broker.life.provision()
    order_year(broker.log, dataset, broker.today.year)
    shares = partial(broker.sharing.shares, dataset)
    progress = broker.relay.run_once(broker.catalog.dataset(dataset), shares)
    broker.life.advance()
    return progress


def shown(broker: Broker, outcome: Outcome) -> dict[bytes, dict[str, Any]]:
    """What the grant's consumer has after reading its share."""
    assert outcome.share is not None
    return dict(current(broker, outcome.share))


def end_of(broker: Broker, outcome: Outcome) -> int:
    """Records that the grant's share has ever had."""
    assert outcome.share is not None
    return sum(broker.log.end(outcome.share.topic, partition) for partition in range(4))


@contextmanager
def running(role: RelayRole) -> Iterator[None]:
    """The role runs until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=role.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
