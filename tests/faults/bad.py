"""Bad input made by hand, and what came of it: reports, quarantine, live keys."""

import os
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker
from broker.quarantine import Quarantine, Quarantined
from tests import city, recompute

NOW = datetime.now() - timedelta(days=1)
ALLOWANCE = "mz.subsistence_allowance"
SUBSIDY = "mz.disability_subsidy"
HEADER = (
    "证号,身份证号,姓名,保障人数,城乡类别,月保障金,致困原因,起始年月,银行账号,状态,区划代码,"
    "更新时间,备注"
)
SECRET = "不可外泄"


def line(index: int, **changes: str) -> str:
    """A good line of 低保.csv, or one with changes."""
    cells = {
        "证号": f"DB371502{index:08d}",
        "身份证号": city.resident(index, NOW)["gmsfhm"],
        "姓名": SECRET,
        "保障人数": "2",
        "城乡类别": "城镇",
        "月保障金": "500.00",
        "致困原因": "因病",
        "起始年月": "2025年01月",
        "银行账号": f"99012345678{index:05d}",
        "状态": "在保",
        "区划代码": city.TOWNS[0],
        "更新时间": "2026/01/05 10:00",
        "备注": "",
        **changes,
    }
    return ",".join(cells.values())


def drop(folder: Path, content: str | bytes, name: str = "低保-0001.csv") -> None:
    """Put a file into the folder of the drops; it has lain there for an hour."""
    target = folder / "sources" / "minzheng" / "dibao"
    target.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode("gb18030")
    (target / name).write_bytes(data)
    os.utime(target / name, (time.time() - 3600,) * 2)


def csv_run(folder: Path, **more: Any) -> tuple[Any, list[Quarantined], int]:
    """(report, quarantine, live keys) after collecting the drops once."""
    city.use_mapping(folder, "mz_subsistence_allowance")
    with city.city(folder, **more) as broker:
        (report,) = city.collect(broker, ALLOWANCE, 3)
        return report, entries(broker, ALLOWANCE), live(broker, ALLOWANCE)


def sql_run(
    folder: Path, *rows: dict[str, Any], limit: int = 7
) -> tuple[Any, list[Quarantined], int]:
    """(report, quarantine, live keys) after collecting these rows of one county."""
    city.use_mapping(folder)
    with sqlite3.connect(city.county(folder, "371502")) as db:
        for row in rows:
            city.add(db, row)
    with city.city(folder) as broker:
        (report,) = city.collect(broker, limit=limit)
        return report, entries(broker, "ga.resident_base"), live(broker, "ga.resident_base")


def entries(broker: Broker, dataset: str) -> list[Quarantined]:
    found = Quarantine(broker.catalog.dataset(dataset), broker.sealer).entries(broker.log, 999)
    found.sort(key=lambda one: one[2].where)
    for _, _, entry in found:
        said = f"{entry.reason} {entry.where} {entry.mend} {entry!r}"
        assert SECRET not in said and "99012345678" not in said and entry.mend
    return [entry for _, _, entry in found]


def live(broker: Broker, dataset: str) -> int:
    return len(recompute.newest(broker, broker.catalog.dataset(dataset).collected_topic))
