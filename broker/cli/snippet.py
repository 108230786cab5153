"""`shuqiao consumer snippet`: a consumer's program, ready to copy.

Law: what is printed is what README shows, with the consumer's own names filled in; a password or
a key is never printed: they are read from the environment.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from broker.bootstrap import Broker, opened
from broker.errors import GrantError
from broker.sharing.credentials import no_cluster

FOLDER = Path(__file__).with_name("snippets")


class Lang(StrEnum):
    """What there is one for."""

    PYTHON = "python"
    PURE = "kafka-python"
    JAVA = "java"
    KCAT = "kcat"
    CONSOLE = "console"


def snippet(
    consumer: str,
    lang: Annotated[Lang, typer.Option(help="what to print")] = Lang.PYTHON,
    dataset: str = typer.Option("", help="one of its datasets; needed where it has several"),
) -> None:
    """Print a program that keeps a copy of a consumer's shares right; password and API key are
    read from the environment: PASSWORD, KEY."""
    with opened() as broker:
        values = _values(broker, consumer, dataset)
    print(filled((FOLDER / f"{lang}.txt").read_text("utf-8"), lang, values), end="")


def _values(broker: Broker, consumer: str, dataset: str) -> dict[str, str]:
    if broker.cluster is None:
        raise no_cluster("README shows how to read over HTTP")
    known = broker.sharing.consumer(consumer)
    its = {one.grant.dataset for one in broker.sharing.grants() if one.grant.consumer == known}
    if not dataset and len(its) == 1:
        (dataset,) = its
    if dataset not in its:
        raise GrantError(
            f"{consumer} has no grant for {dataset!r}" if dataset else "which dataset?",
            mend=f"--dataset, one of: {', '.join(sorted(its))}" if its else "`shuqiao grant add`",
        )
    settings = broker.settings
    scheme = "https" if settings.http_certificate else "http"
    return {
        "KAFKA": settings.kafka_servers,
        "CA": str(settings.kafka_ca or ""),
        "CONSUMER": known.id,
        "DATASET": dataset,
        "REGISTRY": f"{scheme}://{settings.http_host}:{settings.http_port}",
    }


def filled(text: str, lang: Lang, values: dict[str, str]) -> str:
    """A program with these names in the place of the environment's."""
    if lang in (Lang.KCAT, Lang.CONSOLE):
        return "".join(f"{name}='{value}'\n" for name, value in values.items()) + text
    way = r'System\.getenv\("(\w+)"\)' if lang is Lang.JAVA else r'os\.environ\["(\w+)"\]'
    return re.sub(
        way, lambda found: f'"{values[found[1]]}"' if found[1] in values else found[0], text
    )
