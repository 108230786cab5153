"""Times as the city reads them.

Law: what is stored has its offset; what a person is shown is the city's time, everywhere the
same.
"""

from datetime import datetime, tzinfo


def city_time(moment: str | datetime, zone: tzinfo) -> str:
    """Date and time in the city's zone; empty for an empty text. `moment` has its offset."""
    if isinstance(moment, str):
        if not moment:
            return ""
        moment = datetime.fromisoformat(moment)
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def city_clock(zone: tzinfo, moment: datetime | None = None) -> str:
    """The time of day in the city's zone; now where no moment is given."""
    return f"{(moment or datetime.now(zone)).astimezone(zone):%H:%M:%S}"
