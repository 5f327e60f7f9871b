"""Splits by time that cannot leak: purge, embargo, and boundaries that are instants.

A label is an interval: it starts when its row is decided and ends at ``label_end``, the moment its outcome is
known. Both ends belong to it (closed interval), so intervals that touch meet. A training row is kept only if its
interval does not meet the test interval, with the embargo in between; before a test that means::

    label_end < test_start - embargo

and where training may follow its test (:mod:`purged`), the embargo is kept after it, too. Boundaries are instants
between distinct timestamps, never row numbers: on a panel of 50 symbols 24 rows are half an hour, and a boundary by
rows would cut through one timestamp. Here all rows of one ``event_time`` fall on the same side.

Every splitter answers ``split(event_time, label_end)`` with folds of row positions.

References:
    M. López de Prado, *Advances in Financial Machine Learning*, Wiley 2018, chapters 7 and 12.
"""

from pipelines.validation.splits.line_plan import MIN_TRAIN_ROWS, WARM_UP, Plan, plan
from pipelines.validation.splits.purged import CombinatorialPurged, PurgedFold, PurgedKFold
from pipelines.validation.splits.rows import IntArray
from pipelines.validation.splits.walk_forward import AnchoredHoldout, Fold, WalkForward

__all__ = ["MIN_TRAIN_ROWS", "WARM_UP", "AnchoredHoldout", "CombinatorialPurged", "Fold", "IntArray", "Plan",
           "PurgedFold", "PurgedKFold", "WalkForward", "plan"]
