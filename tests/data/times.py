"""Writes cdm/coordinates/fixtures/cftime.txt: what cftime says of values in units and calendars.

Each line: calendar | units | value | date; a date of `-` means that cftime refuses the units. Integers are exact,
floats are to the nearest microsecond; cftime makes a whole second of one microsecond less, so no value here is that near
to one. Run with .work/venv/bin/python.
"""

import pathlib
import random
import warnings

import cftime

warnings.simplefilter("ignore")
random.seed(4)

CALENDARS = ["standard", "gregorian", "proleptic_gregorian", "julian", "noleap", "365_day", "all_leap", "366_day", "360_day"]
UNITS = [
    "microseconds", "microsecs", "milliseconds", "msec", "ms", "seconds", "sec", "s", "minutes", "min", "hours", "hr", "h",
    "days", "d", "Days",
]
REFERENCES = [
    "2000-1-1", "2000-01-01T00:00:00Z", "2000-01-01 00:00:00", "1-1-1", "0001-01-01 00:00:00", "-1-1-1", "-4713-01-01 12:00",
    "1582-10-04", "1582-10-15 06:00", "1582-10-10", "1900-02-29", "1900-2-30", "2000-1-1 6:00", "2000-1-1 06:30:15.25",
    "1970-01-01 00:00 -0630", "1970-01-01 00:00:00 +06:00", "1970-01-01 00:00:00 UTC", "1800-12-30 23:59:59.5", "0-1-1", "12-3-4 05:00",
    "99999-1-1", "2001-2-29", "2000-2-30", "2000-1-31", "2000-13-1", "2000-1-1 25:00",
]
INTEGERS = [0, 1, -1, 59, 60, 365, 366, -146097, 577736, 577737, -577737, 719162, 719163]
FLOATS = [0.1, -0.1, 0.5, 1 / 3, 2 / 3, 59.9999998, 15.041666666666666, -1e5 / 7, 36524.123456789, 577736.999999999]


def said(calendar, units, value):
    try:
        return cftime.num2date(value, units, calendar, only_use_cftime_datetimes=True).isoformat()
    except ValueError:
        return "-"


def main():
    lines = []
    for calendar in CALENDARS:
        for reference in REFERENCES:
            values = random.sample(INTEGERS, 3) + random.sample(FLOATS, 2)
            for value in values:
                units = f"{random.choice(UNITS)} since {reference}"
                lines.append(f"{calendar} | {units} | {value!r} | {said(calendar, units, value)}")
    for calendar in CALENDARS:
        for value in INTEGERS + FLOATS:
            units = "days since 1-1-1"
            lines.append(f"{calendar} | {units} | {value!r} | {said(calendar, units, value)}")
    for value in [0, 1, -13, 0.5, 1.25, 1200]:
        units = "months since 1999-12-30"
        lines.append(f"360_day | {units} | {value!r} | {said('360_day', units, value)}")
    for value in [0, 1, -13, 0.5, 1.25]:
        units = "common_years since 1999-12-30"
        lines.append(f"noleap | {units} | {value!r} | {said('noleap', units, value)}")
    folder = pathlib.Path(__file__).parents[2] / "cdm/coordinates/fixtures"
    (folder / "cftime.txt").write_text("\n".join(dict.fromkeys(lines)) + "\n")


main()
