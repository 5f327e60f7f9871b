"""What is learnt from a training reference, and kept with the model: how its columns are counted, how far the mean of
a few days wanders by itself, and the limits that follow from the budget of false alarms."""

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
from pipelines.monitoring.measure import Ruler

Array = np.ndarray[Any, np.dtype[np.float64]]
#: 2: days are cut at the same hour in the reference and in the window.
FORMAT = 2


@dataclass(frozen=True)
class Distance:
    """A distance pinned for one column: its bins, the reference's counts in them, and its limits."""

    bins: Bins
    counts: Array
    limit: float
    loose: float


@dataclass(frozen=True)
class ColumnNorm:
    """One column.

    Attributes:
        differenced: its changes from row to row are watched, because the reference holds too few independent days
            of its level.
        usual_spread: the reference's median standard deviation within a day, in standard deviations of the column.
        spread_mean: mean of the transformed spread over the reference's days.
        level, spread: variance of the mean of 1 … window days about the reference's, shape (window,); 0: not watched.
        level_limit, spread_limit: limits of the studentised differences, a column by itself.
        loose: their limit where the columns together have moved already.
        lost, lost_limit: missing share of the reference, and the largest that is no drift.
        distance: where the column's method is a distance; None for ``moments``.
    """

    name: str
    ruler: Ruler
    differenced: bool
    usual_spread: float
    spread_mean: float
    level: Array
    spread: Array
    level_limit: float
    spread_limit: float
    loose: float
    lost: float
    lost_limit: float
    distance: Distance | None


@dataclass(frozen=True)
class Joint:
    """Mean products of the scores of pairs of columns.

    Attributes:
        pairs: positions in ``Norm.columns``, shape (pairs, 2).
        mean: over the reference, shape (pairs,).
        variance: of the mean of 1 … window days about it, shape (window, pairs).
        single, many: limits of the largest studentised difference, and of the mean square.
    """

    pairs: np.ndarray[Any, np.dtype[np.int64]]
    mean: Array
    variance: Array
    single: Array
    many: float


@dataclass(frozen=True)
class Norm:
    """Everything a check needs to know of the reference, well below a megabyte.

    Attributes:
        names: all columns that current rows have to have; those that are constant in the reference are not watched.
        days: of the reference. step: usual seconds between rows of a symbol.
        level_breadth, spread_breadth: limits of the mean squared studentised difference over all columns.
        joint: None for fewer than two columns.
    """

    rules: Drift
    names: tuple[str, ...]
    days: int
    step: float
    columns: tuple[ColumnNorm, ...]
    level_breadth: float
    spread_breadth: float
    joint: Joint | None

    def to_bytes(self) -> bytes:
        """A NumPy archive without pickles; ``from_bytes`` gives the same norm back."""
        arrays: dict[str, Any] = {}
        head = {"format": FORMAT, "rules": self.rules.model_dump(mode="json"), "names": list(self.names),
                "days": self.days, "step": self.step, "level_breadth": self.level_breadth,
                "spread_breadth": self.spread_breadth,
                "columns": [_column_out(column, f"{number}.", arrays) for number, column in enumerate(self.columns)],
                "joint": None if self.joint is None else {"many": self.joint.many}}
        if self.joint is not None:
            arrays |= {f"joint.{name}": getattr(self.joint, name) for name in ("pairs", "mean", "variance", "single")}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Norm:
        """Raises:
            ContractError: another format.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        head: Mapping[str, Any] = json.loads(arrays["head"].tobytes())
        if head.get("format") != FORMAT:
            raise ContractError(f"a drift norm of format {head.get('format')} cannot be read by this version; learn "
                                "it again from the champion's snapshot")
        joint = None
        if head["joint"] is not None:
            joint = Joint(arrays["joint.pairs"], arrays["joint.mean"], arrays["joint.variance"],
                          arrays["joint.single"], head["joint"]["many"])
        return cls(Drift.model_validate(head["rules"]), tuple(head["names"]), head["days"], head["step"],
                   tuple(_column_in(found, f"{number}.", arrays) for number, found in enumerate(head["columns"])),
                   head["level_breadth"], head["spread_breadth"], joint)


_SCALARS = ("name", "differenced", "usual_spread", "spread_mean", "level_limit", "spread_limit", "loose", "lost",
            "lost_limit")


def _column_out(column: ColumnNorm, at: str, arrays: dict[str, Any]) -> dict[str, Any]:
    arrays |= {f"{at}knots": column.ruler.knots, f"{at}scores": column.ruler.scores, f"{at}level": column.level,
               f"{at}spread": column.spread}
    told: dict[str, Any] = {name: getattr(column, name) for name in _SCALARS}
    told |= {"mean": column.ruler.mean, "std": column.ruler.std, "distance": None}
    if (distance := column.distance) is not None:
        arrays |= {f"{at}upper": distance.bins.upper, f"{at}counts": distance.counts}
        told["distance"] = {"method": distance.bins.method, "mean": distance.bins.mean, "std": distance.bins.std,
                            "exact": distance.bins.exact, "limit": distance.limit, "loose": distance.loose}
    return told


def _column_in(found: Mapping[str, Any], at: str, arrays: Mapping[str, Any]) -> ColumnNorm:
    distance = None
    if (told := found["distance"]) is not None:
        bins = Bins(told["method"], arrays[f"{at}upper"], told["mean"], told["std"], told["exact"])
        distance = Distance(bins, arrays[f"{at}counts"], told["limit"], told["loose"])
    return ColumnNorm(
        ruler=Ruler(arrays[f"{at}knots"], arrays[f"{at}scores"], found["mean"], found["std"]),
        level=arrays[f"{at}level"], spread=arrays[f"{at}spread"], distance=distance,
        **{name: found[name] for name in _SCALARS})
