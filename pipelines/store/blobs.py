"""Bytes that can be made again at a cost, kept beside the snapshots under a key that names what they were made of.

A file carries the SHA-256 of its content: one that a crash or a hand has changed counts as not there.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from datetime import datetime

import pyarrow.fs as pafs

from pipelines.errors import StoreUnavailable
from pipelines.store.snapshots import filesystem
from pipelines.store.warehouse import Warehouse

_DIGEST = hashlib.sha256().digest_size


def put(warehouse: Warehouse, kind: str, key: str, content: bytes) -> None:
    """Keep ``content`` under ``key`` (hexadecimal); what was there is replaced, whole or not at all.

    Raises:
        StoreUnavailable: the place cannot be written right now.
    """
    system, path = _place(warehouse, kind, key)
    partial = f"{path}.{uuid.uuid4().hex}.partial"
    try:
        system.create_dir(os.path.dirname(path), recursive=True)
        with system.open_output_stream(partial) as stream:
            stream.write(hashlib.sha256(content).digest() + content)
        system.move(partial, path)
    except OSError as error:
        raise StoreUnavailable(f"cannot write {path} ({error}); free some space, or check the rights and "
                               "TIDEMARK_SNAPSHOTS") from error


def get(warehouse: Warehouse, kind: str, key: str) -> bytes | None:
    """What is kept under ``key``; None when there is nothing, or nothing whole."""
    system, path = _place(warehouse, kind, key)
    if system.get_file_info(path).type != pafs.FileType.File:
        return None
    try:
        with system.open_input_stream(path) as stream:
            found = stream.read()
    except OSError:
        return None
    digest, content = found[:_DIGEST], found[_DIGEST:]
    return bytes(content) if hashlib.sha256(content).digest() == digest else None


def prune(warehouse: Warehouse, kind: str, before: datetime) -> int:
    """Delete what was written before a wall-clock time; how many files that were. Whoever misses one makes it anew."""
    system, root = filesystem(warehouse.snapshot_root)
    kept = pafs.FileSelector(f"{root.rstrip('/')}/{kind}", allow_not_found=True, recursive=True)
    old = [file.path for file in system.get_file_info(kept) if file.type == pafs.FileType.File
           and file.mtime is not None and file.mtime.timestamp() < before.timestamp()]
    for path in old:
        system.delete_file(path)
    return len(old)


def _place(warehouse: Warehouse, kind: str, key: str) -> tuple[pafs.FileSystem, str]:
    system, root = filesystem(warehouse.snapshot_root)
    return system, f"{root.rstrip('/')}/{kind}/{key[:2]}/{key}"
