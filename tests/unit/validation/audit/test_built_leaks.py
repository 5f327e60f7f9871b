"""Leaks in functions of facts: each is caught by name, with its column and the first row that knew too much."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from pipelines.errors import ContractError
from pipelines.validation.audit import AuditReport, Limits, Subject, audit, audit_function, from_facts
from tests.unit.validation.audit import leaks
from tests.unit.validation.audit.alpha158 import WINDOWS, alpha158
from tests.unit.validation.audit.worlds import DAY, HOUR, end, facts

START = pd.Timestamp("2024-01-01", tz="UTC")
QUICK = Limits(cuts=24)


@pytest.fixture(scope="module")
def given() -> dict[str, pd.DataFrame]:
    return facts()


def run(function: Callable[..., pd.DataFrame], given: dict[str, pd.DataFrame], **options: object) -> AuditReport:
    return audit_function(function, given, as_of=end(given).to_pydatetime(), seed=3, limits=QUICK,
                          **options)  # type: ignore[arg-type]


def first_post(given: dict[str, pd.DataFrame]) -> pd.Timestamp:
    """The row of the first bar that closes after the first post."""
    return max(given["posts"]["available_at"].min().ceil("h") - HOUR, START)


def first_edit(given: dict[str, pd.DataFrame]) -> pd.Timestamp:
    posts = given["posts"]
    edited = posts[posts["revision"] == 1]["doc_id"]
    return posts[posts["doc_id"].isin(edited) & (posts["revision"] == 0)]["available_at"].min().ceil("h") - HOUR


def first_trade(given: dict[str, pd.DataFrame]) -> pd.Timestamp:
    return given["trades"]["event_time"].min() - HOUR


def first_late_post(given: dict[str, pd.DataFrame]) -> pd.Timestamp:
    """The first full hour between the writing of a post and its being readable."""
    posts = given["posts"][given["posts"]["revision"] == 0]
    late = posts[posts["event_time"].dt.ceil("h") < posts["available_at"]]
    return late["event_time"].min().ceil("h") - HOUR


CAUGHT: list[tuple[str, str, object]] = [
    ("centred_window", "prefix", START + 2 * HOUR),
    ("full_sample_scaler", "prefix", START),
    ("full_sample_rank", "prefix", START),
    ("full_sample_quantiles", "prefix", START),
    ("bfill", "prefix", START + 5 * HOUR),
    ("interpolation", "prefix", START + 9 * HOUR),
    ("next_bar", "prefix", START),
    ("reversed_ewm", "prefix", START),
    ("zero_phase_filter", "prefix", START),
    ("resampled_on_the_left_edge", "prefix", START),
    ("zone_slip", "prefix", START),
    ("forward_merge", "prefix", START),
    ("nearest_merge", "prefix", START),
    ("index_of_the_same_date", "prefix", START),
    ("by_writing_time", "revisions", first_late_post),
    ("revised_sentiment", "revisions", first_edit),
    ("crawl_time_engagement", "sources", first_post),
    ("trade_outcome", "sources", first_trade),
]


@pytest.mark.parametrize(("name", "check", "first"), CAUGHT, ids=[name for name, _, _ in CAUGHT])
def test_a_planted_leak_is_caught_with_its_column_and_time(given: dict[str, pd.DataFrame], name: str, check: str,
                                                           first: object) -> None:
    report = run(getattr(leaks, name), given)
    assert not report.passed
    assert {finding.column for finding in report.findings} == {"leak"}
    mine = {finding.check: finding for finding in report.findings}
    assert mine[check].first_offending_time == (first(given) if callable(first) else first)
    assert "leak" in mine[check].sentence or "features" in mine[check].sentence


@pytest.mark.no_cover
@settings(max_examples=6, deadline=None)
@hypothesis.given(since=st.integers(0, 90), bars=st.integers(1, 6), every=st.sampled_from([1, 7]))
def test_the_first_row_of_any_look_ahead_is_found(since: int, bars: int, every: int) -> None:
    """A look ahead by some bars that begins at some row, always or now and then."""
    bars_given = facts()["bars"]
    few = bars_given[bars_given["event_time"] < START + 5 * DAY].reset_index(drop=True)

    def leaking(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        frame = leaks.honest(frames)
        number = (frame["event_time"] - START) // HOUR
        ahead = frames["bars"].sort_values(["symbol", "event_time"], ignore_index=True).groupby("symbol")["close"]
        chosen = (number >= since) & ((number - since) % every == 0)
        return frame.assign(leak=ahead.shift(-bars).where(chosen, 0.0))

    report = audit(Subject("few", end({"bars": few}), 1, (from_facts("features", leaking, {"bars": few}),)), ["prefix"])
    (finding,) = report.findings
    assert (finding.column, finding.first_offending_time) == ("leak", START + since * HOUR)


def test_rows_that_only_the_future_chose(given: dict[str, pd.DataFrame]) -> None:
    """The first row that is lost to its next bar is there as long as that bar is not known."""
    whole, chosen = leaks.honest(given), leaks.survivors(given)
    lost = whole.merge(chosen[["symbol", "event_time"]], how="left", indicator=True)["_merge"].eq("left_only")
    (finding,) = {item.check: item for item in run(leaks.survivors, given).findings if item.check == "prefix"}.values()
    assert finding.column == "available_at"
    assert finding.first_offending_time == whole.loc[lost.to_numpy(), "event_time"].min()


LABEL = {"known": "label_end", "executed": ("forward_return",), "opens": 2 * HOUR}


def test_honest_labels_pass(given: dict[str, pd.DataFrame]) -> None:
    report = run(leaks.labels, {"bars": given["bars"]}, **LABEL)
    assert report.passed, report.markdown()
    assert {result.check for result in report.results if result.state == "passed"} >= {"prefix", "execution"}


@pytest.mark.parametrize("paid", [{"price": "close", "fill": 0}, {"price": "open", "fill": 0}])
def test_a_fill_in_the_bar_of_the_decision(given: dict[str, pd.DataFrame], paid: dict[str, object]) -> None:
    report = run(lambda frames: leaks.labels(frames, **paid), {"bars": given["bars"]}, **LABEL)
    (finding,) = report.findings
    assert (finding.check, finding.column, finding.first_offending_time) == ("execution", "forward_return", START)


def test_a_label_that_is_stamped_before_its_outcome(given: dict[str, pd.DataFrame]) -> None:
    report = run(lambda frames: leaks.labels(frames, slip=1), {"bars": given["bars"]}, **LABEL)
    assert ("prefix", "label_end", START) in {
        (item.check, item.column, item.first_offending_time) for item in report.findings}


def test_bars_stamped_with_their_opening(given: dict[str, pd.DataFrame]) -> None:
    bars = given["bars"].copy()
    late = bars["event_time"] >= START + 3 * DAY
    bars.loc[late, "available_at"] -= HOUR
    report = run(leaks.honest, {**given, "bars": bars})
    (finding,) = report.findings
    assert (finding.check, finding.column) == ("availability", "bars.available_at")
    assert finding.first_offending_time == START + 3 * DAY


def test_a_row_that_says_it_was_known_before_its_close(given: dict[str, pd.DataFrame]) -> None:
    def early(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        frame = leaks.honest(frames)
        return frame.assign(available_at=frame["available_at"] - HOUR)

    found = {(item.check, item.column): item for item in run(early, given, opens=HOUR).findings}
    assert found["availability", "available_at"].first_offending_time == START
    assert ("prefix", "available_at") in found


def test_a_declared_source_that_nobody_may_use(given: dict[str, pd.DataFrame]) -> None:
    report = run(leaks.honest, given, sources={"honest": ("close",), "hype": ("documents:num_comments",),
                                               "exit": ("trades.exit_reason",), "told": ("y",)})
    assert {(item.check, item.column) for item in report.findings} == {
        ("sources", "hype"), ("sources", "exit"), ("sources", "told")}


def test_an_honest_function_has_no_finding(given: dict[str, pd.DataFrame]) -> None:
    report = run(leaks.honest, given, opens=HOUR)
    assert report.passed, report.markdown()
    states = {result.check: result.state for result in report.results}
    assert all(states[name] == "passed" for name in ("sources", "availability", "prefix", "revisions"))
    assert states["control"] == states["ladder"] == "skipped"


@pytest.mark.no_cover
def test_alpha158_has_no_finding(given: dict[str, pd.DataFrame]) -> None:
    report = audit_function(lambda frames: alpha158(frames["bars"]), {"bars": given["bars"]}, opens=HOUR, seed=1,
                            as_of=end(given).to_pydatetime(), limits=Limits(cuts=6))
    assert report.passed, report.markdown()
    whole = alpha158(given["bars"])
    assert len(whole.columns) - 3 == 13 + 29 * len(WINDOWS) == 158
    assert (whole.iloc[100:280, 3:].notna().mean() > 0.95).all()  # they are numbers, not a table of NaN


def test_one_leak_among_alpha158_is_the_only_finding(given: dict[str, pd.DataFrame]) -> None:
    def leaking(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        frame = alpha158(frames["bars"])
        return frame.assign(RANK20=frame.groupby("symbol")["RANK20"].shift(-1))

    few = {"bars": given["bars"][given["bars"]["event_time"] < START + 5 * DAY].reset_index(drop=True)}
    report = audit_function(leaking, few, seed=1, as_of=end(few).to_pydatetime(), limits=Limits(cuts=3))
    assert {item.column for item in report.findings} == {"RANK20"}
    assert min(item.first_offending_time for item in report.findings) == START


def test_the_same_seed_gives_the_same_report(given: dict[str, pd.DataFrame]) -> None:
    one, two = (run(leaks.centred_window, given) for _ in range(2))
    assert one.to_json() == two.to_json()


def test_the_facts_are_left_as_they_were(given: dict[str, pd.DataFrame]) -> None:
    before = {kind: frame.copy() for kind, frame in given.items()}
    run(leaks.crawl_time_engagement, given)
    for kind, frame in before.items():
        pd.testing.assert_frame_equal(given[kind], frame)


def test_facts_without_a_stamp_are_refused(given: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(ContractError, match="available_at"):
        audit_function(leaks.honest, {"bars": given["bars"].drop(columns="available_at")}, seed=1,
                       as_of=end(given).to_pydatetime())


def test_two_rows_of_one_key_are_refused(given: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(ContractError, match="two rows"):
        run(lambda frames: pd.concat([leaks.honest(frames)] * 2), given)


def test_a_nan_is_equal_to_a_nan_and_minus_zero_is_not_zero(given: dict[str, pd.DataFrame]) -> None:
    """Bit for bit: the sign of a zero tells the future here."""
    bars = given["bars"]
    last = bars["event_time"].max()

    def signed(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
        frame = leaks.honest(frames)
        whole = frames["bars"]["event_time"].max() == last
        return frame.assign(leak=-0.0 if whole else 0.0, nothing=np.nan)

    found = run(signed, {"bars": bars}).findings
    assert {item.column for item in found} == {"leak"}
