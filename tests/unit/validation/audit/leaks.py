"""Planted leaks: small feature functions of facts, each with the column ``leak`` beside the column ``honest``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from tests.unit.validation.audit.worlds import HOUR, META, rows

Frames = dict[str, pd.DataFrame]


def _with(given: Frames, make: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    frame = rows(given)
    parts = [make(own) for _, own in frame.groupby("symbol", sort=False)]
    frame["leak"] = pd.concat(parts).reindex(frame.index) if parts else np.nan
    return frame[[*META, "honest", "leak"]]


def _joined(given: Frames, right: pd.DataFrame, on: str, direction: str = "backward") -> pd.DataFrame:
    frame = rows(given)
    right = right[[on, "value"]].rename(columns={on: "at", "value": "leak"}).sort_values("at")
    found = pd.merge_asof(frame.sort_values("available_at"), right, left_on="available_at", right_on="at",
                          direction=direction)
    return found[[*META, "honest", "leak"]]


def honest(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].rolling(24).mean() / own["close"].ewm(span=12).mean())


def centred_window(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].rolling(5, center=True).mean())


def full_sample_scaler(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: (own["close"] - own["close"].mean()) / own["close"].std())


def full_sample_rank(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].rank(pct=True))


def full_sample_quantiles(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].clip(*own["close"].quantile([0.05, 0.95])))


def bfill(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].where(own["event_time"].dt.hour != 5).bfill())


def interpolation(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].where(own["event_time"].dt.hour != 9).interpolate())


def next_bar(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].shift(-1) / own["close"])


def reversed_ewm(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"][::-1].ewm(span=5).mean()[::-1])


def zero_phase_filter(given: Frames) -> pd.DataFrame:
    return _with(given, lambda own: own["close"].ewm(span=5).mean()[::-1].ewm(span=5).mean()[::-1])


def resampled_on_the_left_edge(given: Frames) -> pd.DataFrame:
    def mean(own: pd.DataFrame) -> pd.Series:
        four = own.set_index("event_time")["close"].resample("4h", label="left").mean()
        return pd.Series(four.reindex(own["event_time"].dt.floor("4h")).to_numpy(), own.index)

    return _with(given, mean)


def zone_slip(given: Frames) -> pd.DataFrame:
    """The closes were read with a clock that is one hour off."""
    def slipped(own: pd.DataFrame) -> pd.Series:
        by_hour = own.set_index(own["event_time"] - HOUR)["close"]
        return pd.Series(by_hour.reindex(own["event_time"]).to_numpy(), own.index)

    return _with(given, slipped)


def forward_merge(given: Frames) -> pd.DataFrame:
    return _joined(given, given["index"], "available_at", "forward")


def nearest_merge(given: Frames) -> pd.DataFrame:
    return _joined(given, given["index"], "available_at", "nearest")


def index_of_the_same_date(given: Frames) -> pd.DataFrame:
    """The day's index is published the day after; joined by its date it is there in the morning."""
    return _joined(given, given["index"], "event_time")


def by_writing_time(given: Frames) -> pd.DataFrame:
    """Posts count from when they were written, not from when anyone could read them."""
    return _posts(given, given["posts"].drop_duplicates("doc_id"), "event_time", "compound")


def revised_sentiment(given: Frames) -> pd.DataFrame:
    """The edited text's score at the time of the first version."""
    posts = given["posts"].sort_values(["doc_id", "revision"])
    first = posts.drop_duplicates("doc_id").set_index("doc_id")["available_at"]
    last = posts.drop_duplicates("doc_id", keep="last")
    return _posts(given, last.assign(available_at=last["doc_id"].map(first)), "available_at", "compound")


def crawl_time_engagement(given: Frames) -> pd.DataFrame:
    return _posts(given, given["posts"].drop_duplicates("doc_id"), "available_at", "likes")


def _posts(given: Frames, posts: pd.DataFrame, at: str, column: str) -> pd.DataFrame:
    """Mean over the posts of the last four hours."""
    frame = rows(given)
    posts = posts.sort_values(at)
    when, total = posts[at].to_numpy(), np.concatenate([[0.0], np.cumsum(np.rint(1e4 * posts[column].to_numpy()))])
    last = np.searchsorted(when, frame["available_at"].to_numpy(), side="right")
    first = np.searchsorted(when, (frame["available_at"] - 4 * HOUR).to_numpy(), side="right")
    count = last - first
    frame["leak"] = np.where(count > 0, (total[last] - total[first]) / np.maximum(count, 1), np.nan)
    return frame[[*META, "honest", "leak"]]


def trade_outcome(given: Frames) -> pd.DataFrame:
    """How the trade that is opened now will end, straight from the log."""
    opened = given["trades"].rename(columns={"event_time": "at", "profit_ratio": "leak"})
    frame = rows(given).merge(opened[["symbol", "at", "leak"]], left_on=["symbol", "available_at"],
                              right_on=["symbol", "at"], how="left")
    return frame[[*META, "honest", "leak"]]


def survivors(given: Frames) -> pd.DataFrame:
    """Only rows whose next bar is quiet are kept."""
    frame = honest(given)
    close = given["bars"].sort_values(["symbol", "event_time"])["close"].to_numpy()
    coming = pd.Series(close).groupby(frame["symbol"].to_numpy()).pct_change().shift(-1).abs()
    return frame[~(coming > 0.004).to_numpy()].reset_index(drop=True)


def labels(given: Frames, *, price: str = "open", fill: int = 1, slip: int = 0) -> pd.DataFrame:
    """Labels of the next bar. ``price`` and ``fill``: what is paid; ``slip``: bars the outcome lies further."""
    frame = given["bars"][[*META, "open", "close"]].sort_values(["symbol", "event_time"], ignore_index=True)
    own = frame.groupby("symbol")
    last = own["close"].shift(-1 - slip)
    frame["y"] = (last > frame["close"]).astype(float)
    frame["forward_return"] = own["close"].shift(-1) / own[price].shift(-fill) - 1
    frame["label_end"] = frame["event_time"] + 2 * HOUR
    frame = frame[last.notna()].drop(columns=["open", "close", "available_at"])
    return frame.reset_index(drop=True)


