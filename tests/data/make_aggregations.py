"""Makes sets of files to be joined, each for one rule of docs/aggregation.md, with netCDF4-python and zarr.

    make_aggregations.py FOLDER [--days N]

Every value is a formula of when and where it is, so that a value in the wrong place shows. A set that exists with the same
stamp is left alone.
"""

import argparse
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import cftime
import netCDF4
import numpy as np

STAMP = "4"
DAYS = 1000
LAT = np.linspace(-45.0, 45.0, 4)
LON = np.linspace(0.0, 270.0, 5)


def field(day, lat=LAT, lon=LON):
    """The values of one day: exact in Float32."""
    return (day + lat[:, None] / 64 + lon[None, :] / 1024).astype("f4")


def daily(path, day, *, kind="NETCDF3_CLASSIC", lat=LAT, lon=LON, units="days since 2000-01-01", calendar="standard", time=None, sst_units="K", more=None):
    """One file: `sst(time, lat, lon)` at one or several times."""
    days = np.atleast_1d(day)
    with netCDF4.Dataset(path, "w", format=kind) as f:
        f.Conventions, f.title, f.source_file = "CF-1.8", "Sea surface temperature of a formula", Path(path).name
        f.createDimension("time", None)
        f.createDimension("lat", len(lat))
        f.createDimension("lon", len(lon))
        t = f.createVariable("time", "f8", ("time",))
        t.units, t.calendar, t.axis, t.standard_name = units, calendar, "T", "time"
        for name, values, degrees, axis in (("lat", lat, "degrees_north", "Y"), ("lon", lon, "degrees_east", "X")):
            v = f.createVariable(name, "f8", (name,))
            v.units, v.axis = degrees, axis
            v[:] = values
        sst = f.createVariable("sst", "f4", ("time", "lat", "lon"), fill_value=np.float32(-999))
        sst.units, sst.standard_name = sst_units, "sea_surface_temperature"
        t[:] = days if time is None else time
        sst[:] = np.stack([field(d, lat, lon) for d in days])
        if more:
            more(f)


def set_daily(folder, days):
    for day in range(days):
        date = datetime(2000, 1, 1) + timedelta(days=day)
        daily(folder / f"sst_{date:%Y%m%d}.nc", day)


def set_units(folder, _):
    """Other units and reference dates, other types of time, bounds; by name not in the order of time."""
    def bounds(name, values, kind="f8"):
        def more(f):
            f["time"].bounds = name
            f.createDimension("nv", 2)
            f.createVariable(name, kind, ("time", "nv"))[:] = values
        return more

    daily(folder / "d.nc", [0, 1], units="days since 2000-01-01", more=bounds("time_bnds", [[0, 1], [1, 2]]))
    daily(folder / "c.nc", [366, 367], units="hours since 2001-01-01 00:00:00", time=[0, 24], more=bounds("time_bnds", [[0, 24], [24, 48]]))
    daily(folder / "b.nc", [2, 3], units="seconds since 1999-12-31 12:00", time=[216000, 302400], more=bounds("time_bnds", [[216000, 302400], [302400, 388800]]))
    daily(folder / "a.nc", [400], units="minutes since 2001-02-04T00:00:00Z", time=[0], more=bounds("time_bnds", [[0, 1440]]))


def other_calendar(calendar):
    def make(folder, _):
        start = cftime.datetime(2000, 1, 1, calendar=calendar)
        for number, day in enumerate((0, 59, 60, 360)):
            date = start + timedelta(days=day)
            daily(folder / f"m{number}.nc", day, calendar=calendar, units=f"hours since {date.strftime('%Y-%m-%d')}", time=[0])

    return make


def packed(scale, offset, fill):
    def more(f):
        v = f.createVariable("packed", "i2", ("time", "lat", "lon"), fill_value=np.int16(fill))
        v.set_auto_maskandscale(False)
        v.scale_factor, v.add_offset, v.units = scale, offset, "degC"
        raw = (np.arange(len(f["time"]) * 20) + 100).astype("i2").reshape(-1, 4, 5)
        raw[0, 0, 0] = fill
        v[:] = raw

    return more


def set_packing(folder, _):
    daily(folder / "p0.nc", [0, 1], more=packed(0.01, 0.0, -32768))
    daily(folder / "p1.nc", [2], more=packed(0.02, 5.0, -32767))


def set_fills(folder, _):
    """The same type and packing, another fill value; other types of one variable."""
    def more(kind, fill):
        def add(f):
            v = f.createVariable("count", kind, ("time",), fill_value=np.dtype(kind).type(fill))
            v.set_auto_mask(False)
            v[:] = np.arange(len(f["time"])) + 1
            v[0] = fill
        return add

    daily(folder / "f0.nc", [0, 1], more=more("i2", -9))
    daily(folder / "f1.nc", [2, 3], more=more("i2", -99))
    daily(folder / "f2.nc", [4, 5], more=more("i4", -99))


def set_missing(folder, _):
    def extra(f):
        v = f.createVariable("ice", "f4", ("time", "lat", "lon"), fill_value=np.float32(-1))
        v[:] = 0.5

    daily(folder / "m0.nc", [0], more=extra)
    daily(folder / "m1.nc", [1])
    daily(folder / "m2.nc", [2], more=extra)


def set_static(folder, _):
    """What has no time: the same in all, or not."""
    def more(number):
        def add(f):
            f.createVariable("mask", "i1", ("lat", "lon"))[:] = (np.arange(20) % 2).reshape(4, 5)
            f.createVariable("version", "i4", ())[...] = number
        return add

    for number in range(3):
        daily(folder / f"s{number}.nc", [number], more=more(number))


def set_refused(folder, _):
    """Good ones, and one of each that cannot be joined."""
    for day in range(4):
        daily(folder / f"good{day}.nc", day)
    daily(folder / "bad_size.nc", 4, lat=np.linspace(-45.0, 45.0, 6))
    daily(folder / "bad_values.nc", 5, lat=LAT + 1)
    daily(folder / "bad_calendar.nc", 6, calendar="360_day")
    daily(folder / "bad_units.nc", 7, sst_units="degC")
    daily(folder / "cut.nc", 8)
    whole = (folder / "cut.nc").read_bytes()
    (folder / "cut.nc").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nc").write_text("this is no netCDF file\n")


def set_tiles(folder, _):
    lat, lon = np.linspace(-45.0, 45.0, 8), np.linspace(0.0, 300.0, 10)
    for i in range(2):
        for j in range(2):
            daily(folder / f"tile_{i}{j}.nc", [0, 1], lat=lat[4 * i : 4 * i + 4], lon=lon[5 * j : 5 * j + 5])


def set_union(folder, _):
    daily(folder / "sst.nc", [0, 1])
    with netCDF4.Dataset(folder / "ice.nc", "w") as f:
        f.createDimension("time", 2)
        f.createDimension("lat", 4)
        v = f.createVariable("ice", "f8", ("time", "lat"))
        v.units = "1"
        v[:] = np.arange(8).reshape(2, 4) / 8


def set_new(folder, _):
    """Without a time of their own: it is in the file name."""
    for day in range(5):
        date = datetime(2010, 3, 30) + timedelta(days=day)
        with netCDF4.Dataset(folder / f"ice-{date:%Y-%m-%d}.nc", "w") as f:
            f.createDimension("lat", 4)
            f.createDimension("lon", 5)
            f.createVariable("lat", "f8", ("lat",))[:] = LAT
            f.createVariable("lon", "f8", ("lon",))[:] = LON
            v = f.createVariable("ice", "f4", ("lat", "lon"), zlib=True)
            v.units = "1"
            v[:] = field(day)


def set_groups(folder, _):
    for number in range(3):
        with netCDF4.Dataset(folder / f"g{number}.nc", "w") as f:
            f.createDimension("time", 2)
            t = f.createVariable("time", "i4", ("time",))
            t.units = "days since 2000-01-01"
            t[:] = [2 * number, 2 * number + 1]
            g = f.createGroup("ocean")
            g.createDimension("depth", 3)
            g.createVariable("depth", "f4", ("depth",))[:] = [0, 10, 20]
            v = g.createVariable("temp", "f4", ("time", "depth"))
            v.units = "K"
            v[:] = 100 * number + np.arange(6).reshape(2, 3)


def set_formats(folder, _):
    """One member in each format."""
    import xarray

    daily(folder / "a.nc", [0, 1])
    daily(folder / "b.nc4", [2, 3], kind="NETCDF4")
    for number, (name, version) in enumerate((("c.zarr", 2), ("d.zarr", 3))):
        passing = folder / "passing.nc"
        daily(passing, [4 + 2 * number, 5 + 2 * number])
        with xarray.open_dataset(passing, decode_times=False, mask_and_scale=False) as ds:
            ds.to_zarr(folder / name, zarr_format=version, mode="w")
        passing.unlink()


def set_runs(folder, _):
    """Forecast runs every 6 hours of 5 steps every 3; the second lacks its last two steps, the third is missing."""
    for number in (0, 1, 3):
        start, steps = 6 * number, 5 if number != 1 else 3
        with netCDF4.Dataset(folder / f"model_{datetime(2026, 1, 1) + timedelta(hours=start):%Y%m%d_%H%M}.nc", "w") as f:
            f.Conventions = "CF-1.8"
            f.createDimension("time", steps)
            f.createDimension("lat", 4)
            t = f.createVariable("time", "f8", ("time",))
            t.units, t.standard_name = "hours since 2026-01-01", "time"
            t[:] = start + 3 * np.arange(steps)
            r = f.createVariable("reftime", "f8", ())
            r.units, r.standard_name = "hours since 2026-01-01", "forecast_reference_time"
            r[...] = start
            f.createVariable("lat", "f8", ("lat",))[:] = LAT
            v = f.createVariable("t2m", "f4", ("time", "lat"), fill_value=np.float32(-999))
            v.units, v.coordinates = "K", "reftime"
            v[:] = 1000 * number + 10 * np.arange(steps)[:, None] + np.arange(4)[None, :]


SETS = {
    "daily": set_daily,
    "units": set_units,
    "noleap": other_calendar("noleap"),
    "360_day": other_calendar("360_day"),
    "packing": set_packing,
    "fills": set_fills,
    "missing": set_missing,
    "static": set_static,
    "refused": set_refused,
    "tiles": set_tiles,
    "union": set_union,
    "new": set_new,
    "groups": set_groups,
    "formats": set_formats,
    "runs": set_runs,
}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("--days", type=int, default=DAYS)
    chosen = options.parse_args()
    stamp = chosen.folder / ".stamp"
    wanted = f"{STAMP} {chosen.days}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(chosen.folder, ignore_errors=True)
    for name, make in SETS.items():
        (chosen.folder / name).mkdir(parents=True)
        make(chosen.folder / name, chosen.days)
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
