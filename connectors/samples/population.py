"""One invented population, the same people in all three departments.

Law: person i is a function of (seed, i) and the day alone, so any number of people
streams in constant memory. No one is real: ID numbers begin with 99, where no division
begins, and phone numbers with 154, which is not assigned; divisions are real.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate

from stdnum.cn import ric

from broker.divisions import Divisions

ADULT = 0
"""Index of the resident who stands in four datasets (design: the demo shows both)."""
CHILD = 1
"""Index of the child with an overdue vaccination."""
HOME_TOWN = "371502001"
"""古楼街道, where these two live."""

MOST_PEOPLE = 4_990_000

_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
    "苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史"
    "顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
_COMPOUND = ("欧阳", "上官", "司马", "诸葛", "司徒", "夏侯")
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华建国文玉兰红梅志峰海燕春晓东晨宇"
    "欣怡子涵梓萱浩然雨桐思远嘉诚佳琪俊熙诗涵乐瑶天佑安宁景行若水云帆"
)

_UP_TO = tuple(
    accumulate((55, 70, 63, 48, 45, 58, 88, 73, 64, 76, 86, 72, 52, 55, 41, 24, 17, 9, 4))
)
"""Of 1,000 people, how many are younger than 5, 10, … 90 and at last 96: about as in a
census of a province of the north."""


@dataclass(frozen=True, slots=True)
class Person:
    """An invented resident. `division` is where the person lives (12 digits) and `home`
    the address there; `hukou_division` and `address` are the household registration.
    `guardian` and `phone` are a parent's for minors."""

    index: int
    id_no: str
    name: str
    sex: str
    born: date
    age: int
    division: str
    home: str
    address: str
    hukou_division: str
    guardian: str
    phone: str
    draws: bytes

    def share(self, topic: int, share: float) -> bool:
        """Whether this person is among that share, by the draw of a topic (0 to 11)."""
        return self.number(topic, 1 << 16) < share * (1 << 16)

    def number(self, topic: int, below: int) -> int:
        """A number below `below` (at most 65536), by the draw of a topic (0 to 11)."""
        return int.from_bytes(self.draws[topic * 2 : topic * 2 + 2], "big") * below >> 16


class Population:
    """`people` residents as of a day."""

    def __init__(self, people: int, seed: int, as_of: date, divisions: Divisions) -> None:
        self.people = people
        self.as_of = as_of
        self._seed = seed
        villages = [one for one in divisions.all() if one.tier == "village"]
        self._villages = [one.code for one in villages]
        self._home = next(code for code in self._villages if code.startswith(HOME_TOWN))
        self._places = {
            one.code: "山东省" + "".join(part.name for part in divisions.path(one.code))
            for one in villages
        }

    def __iter__(self) -> Iterator[Person]:
        return (self.person(index) for index in range(self.people))

    def person(self, index: int) -> Person:
        """Person `index`."""
        draws = hashlib.blake2b(f"{self._seed}/{index}".encode(), digest_size=64).digest()
        numbers = [int.from_bytes(draws[at : at + 4], "big") for at in range(24, 64, 4)]
        male = numbers[0] % 2 == 1
        age = self._age(index, numbers[1])
        born = self.as_of - timedelta(days=age * 365 + age // 4 + numbers[2] % 364 + 1)
        division = (
            self._home
            if index in (ADULT, CHILD)
            else self._villages[numbers[3] % len(self._villages)]
        )
        hukou = division
        if index not in (ADULT, CHILD) and numbers[4] % 20 == 0:
            hukou = self._villages[numbers[5] % len(self._villages)]
        surname = _surname(numbers[6])
        house = _house(index, numbers[8])
        return Person(
            index=index,
            id_no=_id_number(index, born, male),
            name=surname + _given(numbers[7]),
            sex="1" if male else "2",
            born=born,
            age=age,
            division=division,
            home=self._places[division] + house,
            address=self._places[hukou] + house,
            hukou_division=hukou,
            guardian=surname + _given(numbers[9]) if age < 18 else "",
            phone=f"154{(index * 7919 + self._seed * 104729) % 10**8:08d}",
            draws=draws[:24],
        )

    def changed(self, person: Person, topic: int, since: date) -> datetime:
        """When a department last changed a record of what happened on the day `since`
        (before the population's day): after that, and within two years before the day."""
        latest = datetime.combine(self.as_of, datetime.min.time()) - timedelta(hours=2)
        happened = datetime.combine(since, datetime.min.time())
        span = min(700 * 86_400, int((latest - happened).total_seconds()))
        seconds = (person.number(topic, 1 << 16) * 947 + person.index * 61) % span
        return latest - timedelta(seconds=seconds)

    @property
    def villages(self) -> list[str]:
        """The codes of every village that somebody may live in."""
        return self._villages

    def address(self, village: str, number: int) -> str:
        """An address in a village, by a house number."""
        return self._places[village] + _house(number, number)

    @staticmethod
    def _age(index: int, number: int) -> int:
        if index == ADULT:
            return 46
        if index == CHILD:
            return 3
        band = bisect_right(_UP_TO, number % 1_000)
        last = band == len(_UP_TO) - 1
        return band * 5 + number // 1_000 % (6 if last else 5)


def _id_number(index: int, born: date, male: bool) -> str:
    """Unique below `MOST_PEOPLE`; the sequence's last digit is odd for men (GB 11643)."""
    sequence = (index % 499 + 1) * 2 - male
    number = f"99{index // 499:04d}{born:%Y%m%d}{sequence:03d}"
    return number + ric.calc_check_digit(number + "0")


def _surname(number: int) -> str:
    if number % 100 == 0:
        return _COMPOUND[number // 100 % len(_COMPOUND)]
    return _SURNAMES[number % len(_SURNAMES)]


def _given(number: int) -> str:
    first, second = number % len(_GIVEN), number // 256 % len(_GIVEN)
    return _GIVEN[first] if number % 7 == 0 else _GIVEN[first] + _GIVEN[second]


def _house(index: int, number: int) -> str:
    return f"{index // 36 + 1}号楼{number % 4 + 1}单元{index % 36 // 2 + 1}{index % 2 + 1:02d}室"
