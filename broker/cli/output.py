"""What a person sees: one place that prints, in Chinese or English, or as JSON.

Law: with `--json` standard output holds one JSON document and nothing else; words
for people then go to standard error. No value of a record is printed here.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass
class Output:
    """Prints in the chosen language. `say("…", "…")` takes Chinese, then English.

    Words go to `console`; `document` alone writes to standard output as JSON.
    """

    lang: str = "zh"
    as_json: bool = False
    console: Console = field(default_factory=Console)

    def text(self, zh: str, en: str) -> str:
        """The words of the chosen language."""
        return en if self.lang == "en" else zh

    def say(self, zh: str, en: str) -> None:
        """A line of words."""
        self.console.print(self.text(zh, en), highlight=False, soft_wrap=True)

    def mark(self, value: str, style: str) -> str:
        """A value in a style; what looks like markup in it is shown as it stands."""
        return f"[{style}]{escape(value)}[/{style}]"

    def head(self, zh: str, en: str) -> None:
        """A heading."""
        self.console.print()
        self.console.rule(f"[bold]{self.text(zh, en)}", align="left")

    def table(
        self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]], title: str = ""
    ) -> None:
        """A table; columns are (Chinese, English)."""
        table = Table(title=title or None, title_justify="left", header_style="bold")
        for number, (zh, en) in enumerate(columns):
            table.add_column(self.text(zh, en), overflow="fold", no_wrap=number == 0)
        for row in rows:
            table.add_row(*[str(cell) for cell in row])
        self.console.print(table)

    def document(self, value: Any) -> None:
        """The one JSON document of `--json`."""
        print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


OUTPUT = Output()
"""The output of this process; `main` sets language and form before a command runs."""


def configure(lang: str, as_json: bool) -> None:
    """Choose language and form for this process; an empty language leaves it as it is."""
    OUTPUT.lang = lang or OUTPUT.lang
    if as_json:
        OUTPUT.as_json = True
        OUTPUT.console = Console(stderr=True)
