"""An ID or mobile number is found where it does not belong, however it is written."""

from datetime import date

import pytest

from connectors.misplaced import holds_identifier
from tests import city

ID = city.id_number(7, date(1980, 1, 15))
WITH_X = next(
    number for n in range(999) if (number := city.id_number(n, date(1980, 1, 15))).endswith("X")
)
WIDE = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")
MOBILE = "15412345678"


@pytest.mark.parametrize(
    "text",
    [
        ID, WITH_X, WITH_X.lower(), f"见{ID}号", f"{ID}43", f"{WITH_X}43", f"AB{ID}C", f"7{ID}",
        ID.translate(WIDE), WITH_X.translate(WIDE), f"{ID[:6]} {ID[6:14]} {ID[14:]}",
        f"{ID[:6]}-{ID[6:14]}-{ID[14:]}", " ".join(ID), f"{WITH_X[:17]} X",
        MOBILE, f"电话{MOBILE}。", f"+86{MOBILE}", f"+86 {MOBILE}", f"0086-{MOBILE}", f"86{MOBILE}",
        "154 1234 5678", "154-1234-5678", MOBILE.translate(WIDE), "１５４－１２３４－５６７８",
    ],
)  # fmt: skip
def test_is_found(text: str) -> None:
    assert holds_identifier(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "normal", "371502001001", "2026-01-05 13:00:00", "20260105130000", "2026/01/05 10:00",
        "DB37150200000001", "FS-2026-00001234", ID[:17] + ("1" if ID[17] != "1" else "2"),
        "372501990230001100", "12345678901", "115412345678", "1541234567", "XF154123456789",
    ],
)  # fmt: skip
def test_is_not_found(text: str) -> None:
    assert not holds_identifier(text)
