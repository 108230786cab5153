"""`shuqiao doctor`: what is wrong with this installation, and what to do."""

from dataclasses import asdict

import typer

from broker.bootstrap import opened
from broker.cli.output import OUTPUT
from broker.doctor import examine


def doctor() -> None:
    """Look at everything and change nothing; exit status 1 where something is wrong."""
    with opened() as broker:
        found = list(examine(broker))
    if OUTPUT.as_json:
        OUTPUT.document([{**asdict(one), "well": one.well} for one in found])
    else:
        for one in found:
            sign = "✓" if not one.mend else "○" if one.well else "✗"
            OUTPUT.say(one.found, one.found, sign=sign, strong=f"{one.check} ")
            if one.mend:
                OUTPUT.say(f"    → {one.mend}", f"    → {one.mend}")
    if not all(one.well for one in found):
        raise typer.Exit(1)
