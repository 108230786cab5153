"""The forms in which records leave, where a reader would spoil or run what they hold."""

import csv
import io

from broker.log.interface import Page
from broker.projection.avro import Codec
from broker.registry import frame
from broker.web.forms import Csv

FIELD = {"name": "x", "type": ["null", "string"]}
SCHEMA = {"type": "record", "name": "r", "fields": [FIELD]}
SPOILT = ("=1+1", "+1", "-1", "@x", "\tx", "\rx", "0012", "990000198001160010")
PLAIN = ("张三", "12", "0", "x=1", "2026-01-01", "")


def cells(texts: tuple[str, ...], excel: bool) -> list[str]:
    """The texts as a CSV file has them."""
    values = [frame(1, Codec(SCHEMA).encode({"x": text})) for text in texts]
    form = Csv(SCHEMA, excel=excel)
    records = form.batch(Page(range(len(values)), [b"k"] * len(values), values))
    text = (form.head() + records).decode("utf-8-sig")
    return [row[1] for row in csv.reader(io.StringIO(text, newline=""))][1:]


def test_excel_neither_runs_nor_spoils_a_value() -> None:
    assert cells(SPOILT, excel=True) == [f"\t{text}" for text in SPOILT]
    assert cells(PLAIN, excel=True) == list(PLAIN)
    assert cells(SPOILT + PLAIN, excel=False) == list(SPOILT + PLAIN)
