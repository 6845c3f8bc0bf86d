"""Date-times in a database file, as Kamailio's db_sqlite reads and writes them.

It stores a Julian day as REAL, and takes anything else it finds in such a column for one too, so that is the
only form written here. Read are also ISO text (what `DEFAULT '2030-05-28 21:32:15'` and people leave) and
whole seconds since 1970 (`expires_type` 1). All are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

UNIX_EPOCH = 2440587.5  # the Julian day of 1970-01-01 00:00 UTC
LAST_JULIAN_DAY = 5373484.5  # 9999-12-31: no larger number is a day


def to_julian(epoch: float) -> float:
    """Seconds since 1970 as a Julian day."""
    return epoch / 86400.0 + UNIX_EPOCH


def to_epoch(value: object) -> float:
    """Seconds since 1970 of whatever form a date-time column holds; 0 when it holds none."""
    if isinstance(value, float) and 0 < value <= LAST_JULIAN_DAY:
        return (value - UNIX_EPOCH) * 86400.0
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return 0.0
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return 0.0
