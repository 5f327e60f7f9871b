"""Named columns of float64 that can be made again: kept beside the snapshots, so that they need not be.

The columns of one place have the same rows. Each call of ``put`` adds a file to the place; which columns it holds is
read from its footer, so there is no index that could disagree with the files. Whatever is missing or damaged is simply
not there: the caller computes it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from pipelines.store.snapshots import filesystem, write_file
from pipelines.store.warehouse import Warehouse

#: The folder, for ``blobs.prune``.
KIND = "columns"
Column = np.ndarray[tuple[int], np.dtype[np.float64]]


def get(warehouse: Warehouse, place: str, names: Collection[str], rows: int) -> dict[str, Column]:
    """Those of the columns that are there, each of shape (rows,).

    Args:
        place: of these rows; letters and digits.
        names: letters and digits.
    """
    system, root = _place(warehouse, place)
    wanted, found = set(names), dict[str, Column]()
    for file in sorted(system.get_file_info(pafs.FileSelector(root, allow_not_found=True)), key=lambda one: one.path):
        if not file.path.endswith(".parquet") or not wanted - set(found):
            continue
        try:
            with system.open_input_file(file.path) as stream:
                held = pq.ParquetFile(stream, page_checksum_verification=True)
                here = sorted(wanted.difference(found).intersection(held.schema_arrow.names))
                table = held.read(here, use_threads=False) if here else None
        except (pa.ArrowException, OSError):
            continue
        if table is not None and table.num_rows == rows:
            found |= {name: table[name].to_numpy() for name in here}
    return found


def put(warehouse: Warehouse, place: str, columns: Mapping[str, Column]) -> None:
    """Keep columns of one length.

    Raises:
        StoreUnavailable: the place cannot be written right now.
    """
    if not columns:
        return
    system, root = _place(warehouse, place)
    name = hashlib.sha256(" ".join(sorted(columns)).encode()).hexdigest()[:32]
    # Doubles do not compress, and a column that costs more to read than to compute is worth nothing.
    write_file(system, f"{root}/{name}.parquet", pa.table(dict(columns)), durable=False, compression="lz4",
               use_dictionary=False, write_statistics=False, write_page_checksum=True)


def _place(warehouse: Warehouse, place: str) -> tuple[pafs.FileSystem, str]:
    system, root = filesystem(warehouse.snapshot_root)
    return system, f"{root.rstrip('/')}/{KIND}/{place[:2]}/{place}"
