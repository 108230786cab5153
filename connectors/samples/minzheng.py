"""民政: CSV drops in GB18030 with Chinese headers; months and dates as people write them.

Law: no record is older than what it is about (a birth).
"""

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import BinaryIO

from connectors.samples.mess import CELLS, UNDECODABLE, Mess, Spots
from connectors.samples.population import ADULT, CHILD, Person, Population

ALLOWANCE = "mz.subsistence_allowance"
SUBSIDY = "mz.disability_subsidy"
ROWS_A_FILE = 20_000
_TIME = "%Y/%m/%d %H:%M"

ALLOWANCE_COLUMNS = (
    "证号", "身份证号", "姓名", "保障人数", "城乡类别", "月保障金", "致困原因", "起始年月",
    "银行账号", "状态", "区划代码", "更新时间", "备注",
)  # fmt: skip
SUBSIDY_COLUMNS = (
    "身份证号", "姓名", "残疾人证号", "残疾类别", "残疾等级", "补贴种类", "补贴金额",
    "监护人电话", "发放月份", "区划代码", "更新时间", "备注",
)  # fmt: skip

ALLOWANCE_SPOTS = Spots(
    id_no="身份证号", division="区划代码", required="证号", misplaced="城乡类别",
    bad_date=("起始年月", "2024年13月"), undecodable="姓名", changed=("保障人数", "9"),
    updated="更新时间", updated_format=_TIME, ragged=True,
)  # fmt: skip
SUBSIDY_SPOTS = Spots(
    id_no="身份证号", division="区划代码", required="补贴种类", misplaced="发放月份",
    bad_date=("发放月份", "2026年00月"), undecodable="姓名", changed=("补贴金额", "1.00"),
    updated="更新时间", updated_format=_TIME, ragged=True,
)  # fmt: skip

_MARK = "\ue000"
"""Stands for the undecodable bytes until the line is encoded."""


class DropWriter:
    """Numbered CSV files of at most `ROWS_A_FILE` rows; rows written together stay together."""

    def __init__(self, folder: Path, stem: str, columns: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._stem, self._columns = folder, stem, columns
        self._file: BinaryIO | None = None
        self._files = self._rows = 0

    def write(self, rows: list[CELLS]) -> None:
        """Add rows that belong together."""
        if self._file is None or self._rows + len(rows) > ROWS_A_FILE:
            self._next()
        for cells in rows:
            self._line([cells[name] for name in self._columns if name in cells])
        self._rows += len(rows)

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()

    def _next(self) -> None:
        self.close()
        self._files += 1
        self._rows = 0
        self._file = (self._folder / f"{self._stem}-{self._files:04d}.csv").open("wb")
        self._line(list(self._columns))

    def _line(self, cells: list[object]) -> None:
        text = StringIO()
        csv.writer(text).writerow([_MARK if cell == UNDECODABLE else cell for cell in cells])
        data = text.getvalue().encode("gb18030").replace(_MARK.encode("gb18030"), UNDECODABLE)
        if self._file is not None:
            self._file.write(data)


class Minzheng:
    """Writes a person into the drops of both datasets."""

    def __init__(self, folder: Path, population: Population, seed: int, mess: float) -> None:
        self._population = population
        self._allowance = DropWriter(folder / "dibao", "低保", ALLOWANCE_COLUMNS)
        self._subsidy = DropWriter(folder / "canbu", "残补", SUBSIDY_COLUMNS)
        self.mess = {
            ALLOWANCE: Mess(ALLOWANCE, seed, mess, ALLOWANCE_SPOTS),
            SUBSIDY: Mess(SUBSIDY, seed, mess, SUBSIDY_SPOTS),
        }

    def write(self, person: Person) -> None:
        """Every row about the person."""
        spared = person.index == ADULT
        if spared or (person.index != CHILD and person.age >= 18 and person.share(6, 0.04)):
            at = self._population.changed(person, 6, person.born)
            rows = self.mess[ALLOWANCE].rows(self._allowance_of(person), at, spared)
            self._allowance.write([_ordered(row, ALLOWANCE_COLUMNS) for row in rows])
        if spared or (person.index != CHILD and person.share(7, 0.03)):
            at = self._population.changed(person, 7, person.born)
            for cells in self._subsidies_of(person):
                rows = self.mess[SUBSIDY].rows(cells, at, spared)
                self._subsidy.write([_ordered(row, SUBSIDY_COLUMNS) for row in rows])

    def close(self) -> None:
        """Finish the files."""
        self._allowance.close()
        self._subsidy.close()

    def _allowance_of(self, person: Person) -> CELLS:
        start = self._population.as_of - timedelta(days=60 + person.number(8, 1500))
        return {
            "证号": f"DB{person.division[:6]}{person.index:08d}",
            "身份证号": person.id_no,
            "姓名": person.name,
            "保障人数": str(1 + person.number(9, 4)),
            "城乡类别": "城镇" if person.number(9, 2) else "农村",
            "月保障金": f"{260 + person.number(8, 640)}.{person.number(9, 10)}0",
            "致困原因": "因病" if person.number(10, 3) else "因残",
            "起始年月": f"{start:%Y年%m月}",
            "银行账号": f"990{person.index:08d}{person.number(10, 10000):05d}",
            "状态": "在保",
            "区划代码": person.division,
            "备注": "",
        }

    def _subsidies_of(self, person: Person) -> Iterator[CELLS]:
        kind, grade = 1 + person.number(11, 7), 1 + person.number(10, 4)
        month = self._population.as_of.replace(day=1)
        for _ in range(3):
            month = _month_before(month)
            yield {
                "身份证号": person.id_no,
                "姓名": person.name,
                "残疾人证号": f"{person.id_no}{kind}{grade}",
                "残疾类别": str(kind),
                "残疾等级": str(grade),
                "补贴种类": "护理" if grade <= 2 else "生活",
                "补贴金额": f"{120 + 30 * (4 - grade)}.00",
                "监护人电话": person.phone if person.age < 18 else "",
                "发放月份": f"{month:%Y年%m月}",
                "区划代码": person.division,
                "备注": "",
            }


def _ordered(cells: CELLS, columns: tuple[str, ...]) -> CELLS:
    """The cells in the order of the header; of a cut row, a true beginning of it."""
    if len(cells) == len(columns):
        return cells
    return {name: cells.get(name, "") for name in columns[: len(columns) // 2]}


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)
