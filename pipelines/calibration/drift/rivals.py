"""Rules by which others raise drift alarms, on the same rows as the product: no memory of earlier checks, limits that
are the same for everybody.

* ``evidently``: what `evidently` 0.7's ``DataDriftPreset`` does when told nothing. A numeric column of more than five
  distinct values drifts with a Kolmogorov-Smirnov p-value of at most 0.05 if the reference has at most 1,000 rows, else
  with a Wasserstein distance of at least 0.1, in ``max(standard deviation of the reference, 0.001)``; the data set with
  half of its columns. Held equal to the real one by a test; the real one takes seconds a check.
* ``psi_any``, ``psi_half``: a population stability index above 0.2 in any column, in half of them.
* ``ks_any``, ``ks_half``: a Kolmogorov-Smirnov p-value below 0.05, likewise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipelines.calibration.drift.distances import distances, ks_rejects, psi
from pipelines.calibration.drift.track import Flags, Track
from pipelines.errors import ContractError

KS_LEVEL, PSI_LIMIT, HALF = 0.05, 0.2, 0.5
#: Evidently's.
FEW_ROWS, FEW_VALUES, WASSERSTEIN_LIMIT, SMALLEST_STD = 1000, 5, 0.1, 0.001
RIVALS = ("evidently", "psi_any", "psi_half", "ks_any", "ks_half")


def drifted(track: Track) -> Mapping[str, Flags]:
    """Which columns each rule finds drifted at each check, arrays of shape (checks, columns): ``evidently``, ``psi``,
    ``ks``.

    Raises:
        ContractError: a column of few distinct values; Evidently's rules for those are not among these.
    """
    reference = track.values[track.reference]
    few = [name for name in range(reference.shape[1]) if len(np.unique(reference[:100, name])) <= FEW_VALUES
           and len(np.unique(reference[:, name])) <= FEW_VALUES]
    if few:
        raise ContractError(f"columns {few[:5]} have at most {FEW_VALUES} distinct values; leave them out of scenarios "
                            "with rivals")
    windows = [track.window(check) for check in range(track.checks)]
    starts, stops = (np.array([getattr(window, end) for window in windows]) for end in ("start", "stop"))
    greatest, area = distances(np.ascontiguousarray(np.sort(reference, axis=0).T),
                               np.ascontiguousarray(track.values.T), starts, stops)
    ks = ks_rejects(greatest, reference, [track.values[window] for window in windows], KS_LEVEL)
    wasserstein = area / np.maximum(reference.std(axis=0), SMALLEST_STD) >= WASSERSTEIN_LIMIT
    return {"evidently": ks if len(reference) <= FEW_ROWS else wasserstein,
            "psi": psi(reference, track.values, starts, stops) > PSI_LIMIT, "ks": ks}


def alarms(track: Track) -> dict[str, Flags]:
    """Whether each of ``RIVALS`` alarms at each check, arrays of shape (checks,)."""
    found = drifted(track)
    share = {name: flags.mean(axis=1) for name, flags in found.items()}
    return {"evidently": share["evidently"] >= HALF,
            "psi_any": share["psi"] > 0, "psi_half": share["psi"] >= HALF,
            "ks_any": share["ks"] > 0, "ks_half": share["ks"] >= HALF}
