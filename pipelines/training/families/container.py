"""The skops container: the same model is the same bytes, and what is inside is known before anything is built.

As skops writes it, a file differs from run to run: its members are named after memory addresses, carry the time of
writing, and records of nodes keep whatever bytes lay in their padding. None of that is learned, so none of it is kept.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = "schema.json"
#: The kinds of nodes in a schema whose constructors we have read: plain data, arrays without objects, and estimators
#: whose state is set attribute by attribute. Not among them: functions, methods, partials, and reductions other than
#: those of a tree, whose constructor is fixed by skops, and of a loss, which has to be one of scikit-learn's.
LOADERS = frozenset({"ObjectNode", "DictNode", "ListNode", "TupleNode", "JsonNode", "TypeNode", "NdArrayNode",
                     "DTypeNode", "SliceNode", "TreeNode", "LossNode"})
#: Types that every file may hold: data without behaviour.
DATA = frozenset({"builtins.dict", "builtins.list", "builtins.tuple", "builtins.str", "numpy.ndarray", "numpy.float64",
                  "numpy.int64", "numpy.dtype"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MEMBER = re.compile(r"\d+\.npy|schema\.json")


def canonical(data: bytes) -> bytes:
    """A skops file with members, identities and padding in one fixed form; it loads as the same model.

    Nodes are numbered in the order of the schema, arrays named after their number, times set to 1980 and the padding of
    structured arrays to zero.

    Raises:
        KeyError, ValueError, zipfile.BadZipFile: not a skops file.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        schema = json.loads(source.read(SCHEMA))
        members: dict[str, bytes] = {}
        for number, node in zip(itertools.count(1), _nodes(schema)):
            if "__id__" in node:
                node["__id__"] = number
            if "file" in node:
                name = f"{number}.npy"
                members[name] = _array(source.read(node["file"]))
                node["file"] = name
    members[SCHEMA] = json.dumps(schema, indent=2).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o600 << 16
            target.writestr(info, content)
    return buffer.getvalue()


def settle(path: Path) -> None:
    """Rewrite a skops file in its canonical form; files of other formats are deterministic already and stay."""
    if path.suffix == ".skops":
        path.write_bytes(canonical(path.read_bytes()))


def write(native: Any, path: Path) -> None:
    """Write a model in the native format of ``path`` (``.skops``, ``.ubj``, ``.lgb``): the same bytes that training
    stores through MLflow.

    Args:
        native: a scikit-learn estimator, or a Booster.
    """
    if path.suffix == ".skops":
        import skops.io

        skops.io.dump(native, path)
    else:
        native.save_model(str(path))
    settle(path)


def foreign(path: Path, reviewed: frozenset[str]) -> list[str]:
    """What a skops file holds that is neither in ``reviewed`` nor plain data: types, kinds of nodes, members of the
    archive. Reads the schema only; nothing is imported or built.

    Raises:
        KeyError, ValueError, zipfile.BadZipFile: not a skops file.
    """
    with zipfile.ZipFile(path) as source:
        strange = {name for name in source.namelist() if not _MEMBER.fullmatch(name)}
        schema = json.loads(source.read(SCHEMA))
    for node in _nodes(schema):
        kind = f"{node.get('__module__')}.{node['__class__']}"
        if kind not in reviewed | DATA:
            strange.add(kind)
        loader = str(node.get("__loader__"))
        if loader not in LOADERS or (loader == "LossNode" and node.get("__module__") != "sklearn._loss._loss"):
            strange.add(loader)
    return sorted(strange)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every node of a schema, parents first, in the order of writing."""
    if isinstance(value, dict):
        if "__class__" in value or "__loader__" in value:
            yield value
        for item in list(value.values()):
            yield from _nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _array(data: bytes) -> bytes:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names:
        clean = np.zeros(array.shape, dtype=array.dtype)
        for name in array.dtype.names:
            clean[name] = array[name]
        array = clean
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
