"""Does sentiment lead prices, or follow them? Correlation with the returns of each hour around, with bootstrap bands.

Lag ``k`` pairs the sentiment known at the full hour ``t`` with the log return over ``(t + (k - 1) h, t + k h]``: lag 1
is the first hour that had not begun when the sentiment was known, lag 0 the hour that had just ended, -1 the one before
it. Whatever stands at ``k > 0`` could be traded on; at ``k <= 0`` the text came after the price. Sentiment is dated by
when it was *known*, a return by when it *happened*. Sentiment that is stamped one hour too early (a leak) moves the
whole curve by +1: what belongs to lag 0 appears at lag 1.

The band resamples whole days, each hour of sentiment together with all the returns it is paired with ("blocks of
blocks": H. R. Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", *Annals of Statistics*
17(3), 1989, section 2.3), in blocks of random length on a circle (D. N. Politis and J. P. Romano, "The Stationary
Bootstrap", *JASA* 89(428), 1994), all symbols at once, for they move together. A band is Fisher's z of the correlation,
with its standard deviation over the resamples and Student's t for as many blocks as the days hold: percentiles of the
same resamples missed the truth more often. Bands hold for each lag alone: of 49 lags of pure noise two or
three lie outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.sentiment.aggregate import MARKET
from pipelines.sentiment.hours import HOUR_US, Ints, microseconds, times
from pipelines.validation.significance import bootstrap

LAGS = range(-24, 25)
#: First and last lag of each span: a day and six hours on either side of the moment.
SPANS = ((-23, 0), (-5, 0), (1, 6), (1, 24))
#: Name of the rows for all symbols together.
POOLED = "pooled"
LEAST_DAYS = 20
#: Shortest mean block in days: a pair at the edge of a day reaches into the next one.
LEAST_BLOCK = 2.0
CONFIDENCE = 0.95
_DAY = 24
_MOST = 1 - 1e-12  # Fisher's z of a perfect correlation is infinite


def hourly_returns(bars: pd.DataFrame) -> pd.DataFrame:
    """Log returns of hourly bars by the time they ended.

    Args:
        bars: ``symbol``, ``event_time`` (opening, UTC) and ``close``; one row per bar.

    Returns:
        ``symbol``, ``at`` (the bar's close), ``value``: over the hour that ends at ``at``; none after a gap.
    """
    ordered = bars.sort_values(["symbol", "event_time"])
    before = ordered.groupby("symbol")[["event_time", "close"]].shift()
    value = np.log(ordered["close"] / before["close"])
    hour = pd.Timedelta(hours=1)
    known = (ordered["event_time"] - before["event_time"] == hour) & np.isfinite(value)
    return pd.DataFrame({"symbol": ordered["symbol"], "at": ordered["event_time"] + hour, "value": value})[
        known].reset_index(drop=True)


def market_returns(returns: pd.DataFrame) -> pd.DataFrame:
    """The mean return over the symbols of each hour, as the symbol ``*``; columns as of :func:`hourly_returns`."""
    mean = returns.groupby("at", as_index=False)["value"].mean()
    return mean.assign(symbol=MARKET)[["symbol", "at", "value"]]


def lead_lag(sentiment: pd.DataFrame, returns: pd.DataFrame, *, lags: Iterable[int] = LAGS, draws: int = 1000,
             block: float | None = None, seed: int = 7) -> pd.DataFrame:
    """Correlation of sentiment with the return of each hour around it.

    Args:
        sentiment: ``symbol``, ``at`` (UTC, the full hour at which it was known), ``value``; missing ones are left out.
        returns: ``symbol``, ``at`` (UTC, the full hour at which it was complete), ``value``: of one hour.
        lags: in hours, see the module.
        draws: resamples of the band.
        block: mean block length in days; chosen from the data if left out (Politis and White), at least two.

    Returns:
        ``symbol``, ``lag``, ``correlation``, ``low``, ``high`` (95 % band), ``n`` (pairs); ``POOLED`` first, then each
        symbol of both frames. Pooled: values and returns in standard deviations of their own symbol. NaN where nothing
        varies.

    Raises:
        ContractError: missing columns, a time without zone or off the full hour, or two values for one hour.
        InsufficientData: fewer than ``LEAST_DAYS`` days with sentiment.
    """
    wanted = [(lag, lag) for lag in lags]
    found = _correlations(sentiment, returns, wanted, draws, block, seed)
    return found.rename(columns={"first": "lag"}).drop(columns="last")


def spans(sentiment: pd.DataFrame, returns: pd.DataFrame, *, wanted: Sequence[tuple[int, int]] = SPANS,
          draws: int = 1000, block: float | None = None, seed: int = 7) -> pd.DataFrame:
    """Like :func:`lead_lag` for the return over several hours, from lag ``first`` to lag ``last``: one number for "the
    day before" and one for "the day after". Columns ``symbol``, ``first``, ``last``, ``correlation``, ``low``,
    ``high``, ``n``."""
    return _correlations(sentiment, returns, wanted, draws, block, seed)


def _correlations(sentiment: pd.DataFrame, returns: pd.DataFrame, wanted: Sequence[tuple[int, int]], draws: int,
                  block: float | None, seed: int) -> pd.DataFrame:
    if not wanted or any(first > last for first, last in wanted):
        raise ContractError(f"the lags are {list(wanted)}; ask for at least one, first before last")
    symbols = sorted({*sentiment["symbol"]} & {*returns["symbol"]})
    if not symbols:
        raise InsufficientData("sentiment and returns have no symbol in common; load bars and texts of the same assets")
    reach = max(abs(lag) for pair in wanted for lag in pair)
    hours = _hours("sentiment", sentiment)
    first = int(hours.min()) // _DAY * _DAY
    days = int(hours.max() - first) // _DAY + 1
    x = _grid(sentiment, hours, symbols, first, days * _DAY)
    y = _grid(returns, _hours("returns", returns), symbols, first - reach, days * _DAY + 2 * reach)
    heard = int(np.isfinite(x).any(axis=1).reshape(days, _DAY).any(axis=1).sum())
    if heard < LEAST_DAYS:
        raise InsufficientData(f"there is sentiment on {heard} days; bands need at least {LEAST_DAYS}: load more days")
    moments = _moments(_standard(x), [_between(_standard(y), pair, reach, len(x)) for pair in wanted])
    moments = np.concatenate([moments.sum(axis=2, keepdims=True), moments], axis=2)  # (days, sums, symbols, lags)
    if block is None:
        block = _block(moments[:, :, 0], days)
    flat = moments.reshape(days, -1)
    indices = bootstrap.stationary_indices(days, min(block, float(days)), draws, seed)
    drawn = _correlation(bootstrap.means_of(flat, indices).reshape(draws, *moments.shape[1:]))
    point = _correlation(moments.mean(axis=0)[None])[0]
    low, high = _band(point, drawn, heard / block)
    count = moments[:, 0].sum(axis=0)
    rows = [{"symbol": name, "first": pair[0], "last": pair[1], "correlation": point[code, place],
             "low": low[code, place], "high": high[code, place], "n": int(count[code, place])}
            for code, name in enumerate([POOLED, *symbols]) for place, pair in enumerate(wanted)]
    return pd.DataFrame(rows)


def _band(point: FloatArray, drawn: FloatArray, blocks: float) -> tuple[FloatArray, FloatArray]:
    """Band around (symbols, lags) from (draws, symbols, lags) resampled correlations; NaN where there is none, or
    where half of the resamples have none (a symbol that spoke on a handful of days)."""
    known = np.isfinite(drawn)
    with np.errstate(all="ignore"):
        transformed = np.where(known, np.arctanh(np.clip(drawn, -_MOST, _MOST)), 0.0)
        number = known.sum(axis=0)
        mean = transformed.sum(axis=0) / number
        spread = np.sqrt(np.where(known, (transformed - mean) ** 2, 0.0).sum(axis=0) / number)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, max(blocks - 1, 2.0))) * spread
    middle = np.where(number * 2 > len(drawn), np.arctanh(np.clip(point, -_MOST, _MOST)), np.nan)
    return np.tanh(middle - half), np.tanh(middle + half)


def _hours(name: str, frame: pd.DataFrame) -> Ints:
    if missing := [column for column in ("symbol", "at", "value") if column not in frame.columns]:
        raise ContractError(f"the {name} lack {', '.join(missing)}; pass symbol, at and value")
    if not isinstance(frame["at"].dtype, pd.DatetimeTZDtype):
        raise ContractError(f"{name}.at has type {frame['at'].dtype}; pass aware UTC times")
    at = microseconds(frame["at"].dt.tz_convert("UTC"))
    if (at % HOUR_US).any():
        stray = times(at[at % HOUR_US != 0][:1])[0]
        raise ContractError(f"{name} has a value at {stray}, off the full hour; move it to the first one after it")
    if frame.duplicated(["symbol", "at"]).any():
        raise ContractError(f"{name} has two values of one symbol at one hour; choose one")
    if frame.empty:
        raise InsufficientData(f"there are no {name}; load some")
    return at // HOUR_US


def _grid(frame: pd.DataFrame, hours: Ints, symbols: Sequence[str], first: int, length: int) -> FloatArray:
    """(length, symbols): the value of each hour from ``first`` (hours since 1970) on, NaN where there is none."""
    values = np.full((length, len(symbols)), np.nan)
    code = pd.Index(symbols, dtype=object).get_indexer(frame["symbol"])
    inside = (code >= 0) & (hours >= first) & (hours < first + length)
    values[hours[inside] - first, code[inside]] = frame["value"].to_numpy(dtype=np.float64)[inside]
    return values


def _standard(values: FloatArray) -> FloatArray:
    """Each column less its mean, in its standard deviations; a constant one becomes 0."""
    known = np.isfinite(values)
    number = np.maximum(known.sum(axis=0), 1)
    centred = values - np.where(known, values, 0.0).sum(axis=0) / number
    spread = np.sqrt(np.where(known, centred**2, 0.0).sum(axis=0) / number)
    constant = spread <= 1e-12 * np.nanmax(np.abs(np.append(values.ravel(), 1e-300)))
    return np.where(known, np.where(constant, 0.0, centred / np.where(constant, 1.0, spread)), np.nan)


def _between(y: FloatArray, pair: tuple[int, int], reach: int, length: int) -> FloatArray:
    """(length, symbols): the return from lag ``pair[0]`` to ``pair[1]`` around each hour; NaN with a gap inside."""
    return np.asarray(sum(y[reach + lag:reach + lag + length] for lag in range(pair[0], pair[1] + 1)))


def _moments(x: FloatArray, targets: Sequence[FloatArray]) -> FloatArray:
    """(days, 6, symbols, lags): per day the number of pairs and the sums of x, y, x², y² and xy."""
    parts = []
    for y in targets:
        both = np.isfinite(x) & np.isfinite(y)
        one, other = np.where(both, x, 0.0), np.where(both, y, 0.0)
        sums = np.stack([both.astype(np.float64), one, other, one**2, other**2, one * other])
        parts.append(sums.reshape(6, -1, _DAY, x.shape[1]).sum(axis=2).transpose(1, 0, 2))
    return np.stack(parts, axis=-1)


def _correlation(moments: FloatArray) -> FloatArray:
    """(draws, symbols, lags) from (draws, 6, symbols, lags)."""
    with np.errstate(all="ignore"):
        number, x, y, xx, yy, xy = (moments[:, place] for place in range(6))
        covariance = xy / number - x * y / number**2
        scale = (xx / number - (x / number) ** 2) * (yy / number - (y / number) ** 2)
        return np.asarray(np.where(scale > 1e-18, covariance / np.sqrt(np.maximum(scale, 1e-300)), np.nan))


def _block(moments: FloatArray, days: int) -> float:
    """Mean block length in days for the pooled daily sums of products, (days, 6, lags)."""
    products = moments[:, 5]
    varying = products[:, products.std(axis=0) > 0]
    if days < LEAST_DAYS or not varying.shape[1]:
        return LEAST_BLOCK
    return max(LEAST_BLOCK, bootstrap.joint_block_length(varying))
