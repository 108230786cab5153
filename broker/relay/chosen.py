"""Which projection runs here, told as an event.

Law: nobody relays without saying by what: the reference gives the same, many times slower.
"""

from collections.abc import Callable

from broker.projection.projector import chosen
from broker.telemetry import Event, ProjectionChosen


def tell_projection(emit: Callable[[Event], None]) -> None:
    """Say it once, where relaying begins."""
    found = chosen()
    emit(ProjectionChosen(by=found.by, why=found.why))
