"""Makes the generated corpus: small files that cover every storage feature the readers must know.

    make_corpus.py FOLDER

writes `<family>/<file>` and `manifest.json` into FOLDER. Nothing of it is committed: the libraries that
write the files are pinned in scripts/requirements-newest.txt and every value is a fixed formula, so each run
makes the same contents. The manifest says per file which library is the oracle for it (see ORACLES below).
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# First: hdf5plugin registers its filters with h5py's HDF5 only when netCDF4's own HDF5 is not loaded yet.
import corpus_hdf5  # isort: skip
import corpus_broken
import corpus_geotiff
import corpus_netcdf3
import corpus_netcdf4
import corpus_references
import corpus_zarr

# netcdf4    netCDF4-python reads the file itself
# h5py       netCDF-C refuses the file or one of its types; h5py reads it, dimension names follow netCDF-C's rules
# zarr       zarr-python reads the store: a folder or a zip file
# rasterio   rasterio reads the image
# twin:NAME  NAME beside it holds the same data in a plain form: no library at hand reads this file rightly, or it is
#            nothing but references into NAME
# none       must be listed as unreadable and never be served as data
ORACLES = ("netcdf4", "h5py", "zarr", "rasterio", "twin", "none")


class Corpus:
    """The folder being filled and the list of the datasets in it: files, and folders that are one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.entries = []

    def path(self, name: str, feature: str, oracle: str = "netcdf4", refused: tuple = ()) -> Path:
        """Registers a file. `refused`: variables that the server must refuse clearly, each by itself."""
        assert oracle.split(":")[0] in ORACLES, oracle
        self.entries.append(
            {"file": name, "feature": feature, "oracle": oracle, "refused": sorted(refused)}
        )
        return self.hidden(name)

    def hidden(self, name: str) -> Path:
        """A file that only takes part in another one: not listed in the manifest."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_manifest(self):
        text = json.dumps(sorted(self.entries, key=lambda e: e["file"]), indent=1, ensure_ascii=False)
        (self.folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1])
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    warnings.simplefilter("ignore")
    corpus = Corpus(folder)
    for part in (corpus_netcdf3, corpus_netcdf4, corpus_hdf5, corpus_zarr, corpus_geotiff, corpus_references, corpus_broken):
        part.make(corpus)
    corpus.write_manifest()
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    print(f"{len(corpus.entries)} datasets, {size / 1e6:.1f} MB in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
