"""rasterio (GDAL) as the oracle of GeoTIFF files: bands, coordinates of cell centres, overviews, masks and palettes, under
the names that the server gives them. Attributes beyond those of the values are not compared."""

import os
import warnings

import numpy as np
import rasterio
import view

warnings.simplefilter("ignore")


def read(path):
    found = {"attributes": {"": {}}, "variables": {}, "partial": True}
    with rasterio.open(path) as image:
        overviews = len(image.overviews(1))
        _image(image, "", found)
    for level in range(overviews):
        with rasterio.open(path, overview_level=level) as image:
            _image(image, f"overview_{level + 1}/", found)
    return found


def _image(image, prefix, found):
    found["attributes"][prefix.rstrip("/")] = {}
    is_geographic = image.crs is not None and image.crs.is_geographic
    names = ("lat", "lon") if is_geographic else ("y", "x")

    def add(name, kind, dims, values, attributes=None):
        found["variables"][prefix + name] = view.variable(kind, dims, np.shape(values), attributes or {}, values)

    transform = image.transform
    if transform.is_rectilinear and not transform.is_identity:
        rows, columns = np.arange(image.height) + 0.5, np.arange(image.width) + 0.5
        add(names[0], "f8", [names[0]], transform.f + rows * transform.e)
        add(names[1], "f8", [names[1]], transform.c + columns * transform.a)
    meanings = list(zip(image.descriptions, image.units, image.scales, image.offsets))
    apart = image.count == 1 or any(m != meanings[0] for m in meanings)
    attributes = {} if image.nodata is None else {"_FillValue": np.array([image.nodata], image.dtypes[0])}
    if apart:
        for number, (description, unit, scale, offset) in enumerate(meanings, 1):
            own = dict(attributes)
            own.update({"long_name": description} if description else {})
            own.update({"units": unit} if unit else {})
            own.update({"scale_factor": scale, "add_offset": offset} if (scale, offset) != (1.0, 0.0) else {})
            kind, values = _typed(image.read(number))
            add(f"band_{number}", kind, names, values, own)
            if kind == "compound":
                found["variables"][f"{prefix}band_{number}"]["shape"] = list(image.shape)
    else:
        add("band", "i4", ["band"], np.arange(1, image.count + 1, dtype="i4"))
        add("data", view.code(image.dtypes[0]), ["band", *names], image.read(), attributes)
    if any("PER_DATASET" in flag.name.upper() for flag in image.mask_flag_enums[0]):
        # GDAL keeps one bit for each cell, and shows it as 255.
        add("mask", "u1", names, (image.dataset_mask() > 0).astype("u1"))


def _typed(values):
    if values.dtype.kind == "c":
        part = f"f{values.itemsize // 2}"
        return "compound", {"r": (part, view.native(values.real)), "i": (part, view.native(values.imag))}
    return view.code(values.dtype), view.native(values)


if __name__ == "__main__":
    os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    view.serve(read)
