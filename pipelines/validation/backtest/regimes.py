"""The default regime: is the market calm, usual or turbulent, as far as one could tell at that time?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipelines.errors import ContractError

CALM, USUAL, TURBULENT, UNKNOWN = "calm", "usual", "turbulent", "unknown"
WINDOW = 168
_LEAST = 0.5


def volatility_regime(frame: pd.DataFrame, window: int = WINDOW) -> pd.Series:
    """Tercile of the trailing volatility, from what was known when each row was decided.

    The market's return of a time is the mean ``forward_return`` over its symbols, known at its latest ``label_end``.
    The trailing volatility is the standard deviation (ddof 1) of the last ``window`` of them that were known at the
    time's earliest ``available_at``; the terciles' bounds are those of all trailing volatilities up to and including
    that time. Cutting off the future changes nothing.

    Args:
        frame: columns ``event_time``, ``available_at``, ``label_end`` (UTC) and ``forward_return``.
        window: timestamps; at least half of it has to be known, as returns and as volatilities, or the regime is
            ``unknown``.

    Returns:
        Index ``event_time`` (sorted, unique); ``calm``, ``usual``, ``turbulent`` or ``unknown``.

    Raises:
        ContractError: a window shorter than two.
    """
    if window < 2:
        raise ContractError(f"window is {window}; a volatility needs at least 2 timestamps")
    least = max(int(np.ceil(_LEAST * window)), 2)
    grouped = frame.groupby("event_time", sort=True)
    market = grouped["forward_return"].mean()
    # A label that is late holds up those after it: the window is always a run of successive returns.
    known = grouped["label_end"].max().cummax()
    decided = grouped["available_at"].min()
    spread = market.rolling(window, min_periods=least).std(ddof=1).to_numpy()
    last = np.searchsorted(known.to_numpy(), decided.to_numpy(), side="right") - 1
    trailing = pd.Series(np.where(last >= 0, spread[np.maximum(last, 0)], np.nan), index=market.index)
    low, high = (trailing.expanding(least).quantile(share) for share in (1 / 3, 2 / 3))
    label = np.where(trailing <= low, CALM, np.where(trailing <= high, USUAL, TURBULENT))
    return pd.Series(np.where(trailing.isna() | low.isna(), UNKNOWN, label), index=market.index, name="regime")
