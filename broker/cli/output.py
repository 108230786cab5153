"""What a person sees: one place that prints, in Chinese or English, or as JSON.

Law: with `--json` standard output holds one JSON document and nothing else; words
for people then go to standard error. What is printed stands as it is: nothing in it is
taken for markup, and no control character reaches the terminal.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from broker.cli.table import print_table

_SIGNS = {"✓": "green", "○": "yellow", "✗": "red"}


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

    def say(
        self, zh: str, en: str, *, sign: str = "", strong: str = "", prose: bool = False
    ) -> None:
        """A line of words, after a sign (✓ done, ○ nothing, ✗ error) and a name in bold.

        English `prose` is wrapped between words on a terminal; all else stays one line, as it
        may be copied.
        """
        whole = not (prose and self.lang == "en" and self.console.is_terminal)
        parts = [Text(f"{sign} ", _SIGNS[sign])] if sign else []
        parts += [mark(strong, "bold"), mark(self.text(zh, en))]
        self.console.print(Text.assemble(*parts), highlight=False, soft_wrap=whole)

    def command(self, line: str) -> None:
        """A command as if typed."""
        self.console.print(mark(f"$ {line}", "dim"), highlight=False, soft_wrap=True)

    def quote(self, lines: str) -> None:
        """Lines of a file, as they stand in it."""
        for line in lines.splitlines():
            self.console.print(mark(f"    {line}", "dim"), highlight=False, soft_wrap=True)

    def head(self, zh: str, en: str) -> None:
        """A heading."""
        self.console.print()
        self.console.rule(f"[bold]{self.text(zh, en)}", align="left")

    def table(
        self,
        columns: Sequence[tuple[str, str]],
        rows: Sequence[Sequence[object]],
        title: str = "",
        spare: Sequence[str] = (),
    ) -> None:
        """A table; columns are (Chinese, English), cells anything, or what `mark` gave. `spare`
        are English names of columns that a narrow terminal can do without, the last first."""
        names = [en for _, en in columns]
        print_table(
            self.console,
            [self.text(zh, en) for zh, en in columns],
            [[one if isinstance(one, Text) else mark(str(one)) for one in row] for row in rows],
            [names.index(name) for name in spare],
            mark(title, "italic") if title else None,
        )

    def document(self, value: Any) -> None:
        """The one JSON document of `--json`."""
        print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def mark(words: str, style: str = "") -> Text:
    """Words in a style."""
    return Text("".join(c if c.isprintable() or c == "\n" else "·" for c in words), style)


OUTPUT = Output()
"""The output of this process; `main` sets language and form before a command runs."""


def configure(lang: str, as_json: bool) -> None:
    """Choose language and form for this process; an empty language leaves it as it is."""
    OUTPUT.lang = lang or OUTPUT.lang
    if as_json:
        OUTPUT.as_json = True
        OUTPUT.console = Console(stderr=True)
