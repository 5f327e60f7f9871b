"""What is learnt from a training reference: how its columns are counted and how far they may wander."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.contracts.line import Drift
from pipelines.errors import ContractError
from pipelines.monitoring.distances import Bins

Array = np.ndarray[Any, np.dtype[np.float64]]
FORMAT = 0


@dataclass(frozen=True)
class ColumnNorm:
    """One column: its bins, the reference's counts in them, and its limits.

    ``lost_limit``: the largest share of missing values that is no alarm.
    """

    name: str
    bins: Bins
    counts: Array
    limit: float
    lost_limit: float


@dataclass(frozen=True)
class Norm:
    """Everything a check needs to know of the reference, a few hundred kB."""

    rules: Drift
    columns: tuple[ColumnNorm, ...]
    names: tuple[str, ...]
    days: int

    def to_bytes(self) -> bytes:
        """A NumPy archive without pickles; ``from_bytes`` gives the same norm back."""
        head = {"format": FORMAT, "rules": self.rules.model_dump(mode="json"), "names": list(self.names),
                "days": self.days, "columns": [
                    {"name": column.name, "method": column.bins.method, "mean": column.bins.mean,
                     "std": column.bins.std, "exact": column.bins.exact, "limit": column.limit,
                     "lost_limit": column.lost_limit} for column in self.columns]}
        arrays: dict[str, Array] = {"head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)}
        for number, column in enumerate(self.columns):
            arrays |= {f"{number}.upper": column.bins.upper, f"{number}.counts": column.counts}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Norm:
        """Raises:
            ContractError: another format.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            head: Mapping[str, Any] = json.loads(arrays["head"].tobytes())
            if head["format"] != FORMAT:
                raise ContractError(f"a norm of format {head['format']} cannot be read; learn it again from the "
                                    "champion's snapshot")
            columns = tuple(
                ColumnNorm(found["name"], Bins(found["method"], arrays[f"{number}.upper"], found["mean"], found["std"],
                                               found["exact"]),
                           arrays[f"{number}.counts"], found["limit"], found["lost_limit"])
                for number, found in enumerate(head["columns"]))
        return cls(Drift.model_validate(head["rules"]), columns, tuple(head["names"]), head["days"])
