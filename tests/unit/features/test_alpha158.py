"""The alpha158 group: qlib's values, the published formulas in pandas, windows with gaps, and the law of all features.

``alpha158_qlib.npz`` is what qlib 0.9.7 itself computes (made by ``python -m tests.bench.qlib.reference``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.declare import Bars
from pipelines.features.groups.alpha158 import GROUP, QLIB, WINDOWS
from pipelines.features.numerics import alpha
from pipelines.features.view import FIELDS
from tests.bench.bench_alpha158 import equal
from tests.unit.features.world import clean
from tests.unit.validation.audit.alpha158 import alpha158

Arrays = dict[str, np.ndarray]


def computed(values: Arrays) -> Arrays:
    with np.errstate(all="ignore"):
        return GROUP.on_bars(Bars(**{field: np.ascontiguousarray(values[field]) for field in FIELDS}))


def world(hours: int, symbols: int = 2, missing: float = 0.0, seed: int = 4) -> Arrays:
    rng = np.random.default_rng(seed)
    frame = clean(hours, tuple(f"S{number}" for number in range(symbols)), seed)
    lost = rng.random((hours, symbols)) < missing
    return {field: np.where(lost, np.nan, frame[field].to_numpy().reshape(symbols, hours).T) for field in FIELDS}


DATA = world(200)
OURS = computed(DATA)


def test_the_columns_are_qlibs_in_its_order_and_its_values() -> None:
    stored = np.load(Path(__file__).with_name("alpha158_qlib.npz"))
    assert list(QLIB) == [feature.name for feature in GROUP.features]
    assert list(QLIB.values()) == stored["names"].tolist()
    found = computed({field: stored[field].astype(np.float64) for field in FIELDS})
    theirs = stored["qlib"].astype(np.float64)
    assert theirs.shape == (50, 4, 158)
    for place, (ours, name) in enumerate(QLIB.items()):
        assert equal({name: found[ours][60:]}, {name: theirs[:, :, place]}), name


def test_equals_the_published_formulas_in_pandas() -> None:
    frame = clean(200, ("S0", "S1"), 4)
    for number, (_, theirs) in enumerate(alpha158(frame).groupby("symbol", sort=True)):
        for ours, name in QLIB.items():
            np.testing.assert_allclose(OURS[ours][60:, number], theirs[name].to_numpy()[60:], rtol=1e-8, atol=1e-10,
                                       err_msg=name)


def _gapped(bars: Arrays, row: int, d: int) -> dict[str, float]:
    """One window of one symbol with holes, from the formulas, on the bars that are there."""
    h, low, c, v = (bars[field][row - d + 1:row + 1, 0] for field in FIELDS[1:])
    c1, v1 = (bars[field][row - d:row, 0] for field in ("close", "volume"))
    there, both = ~np.isnan(c), ~np.isnan(c - c1)
    place = np.arange(d)[there]
    slope, level = np.polyfit(place, c[there], 1)
    fall, rise, less, more = (np.maximum(part[both], 0).sum() for part in (c1 - c, c - c1, v1 - v, v - v1))
    weighted = (np.abs(c / c1 - 1) * v)[both]
    top, bottom = np.nanmax(h), np.nanmin(low)
    now, traded, kept = c[-1], v[-1], c[there]
    at_top, at_bottom = np.nanargmax(h) + 1, np.nanargmin(low) + 1
    return {
        "MA": kept.mean() / now, "STD": kept.std(ddof=1) / now, "BETA": slope / now,
        "RSQR": np.corrcoef(place, kept)[0, 1] ** 2, "RESI": (now - level - slope * (d - 1)) / now, "MAX": top / now,
        "MIN": bottom / now, "QTLU": np.quantile(kept, 0.8) / now, "QTLD": np.quantile(kept, 0.2) / now,
        "RANK": ((kept < now).sum() + ((kept == now).sum() + 1) / 2) / len(kept),
        "RSV": (now - bottom) / (top - bottom + 1e-12), "IMAX": at_top / d, "IMIN": at_bottom / d,
        "IMXD": (at_top - at_bottom) / d, "CORR": np.corrcoef(kept, np.log(v[there] + 1))[0, 1],
        "CORD": np.corrcoef((c / c1)[both], np.log(v / v1 + 1)[both])[0, 1], "CNTP": (c > c1)[both].mean(),
        "CNTN": (c < c1)[both].mean(), "CNTD": (c > c1)[both].mean() - (c < c1)[both].mean(),
        "SUMP": rise / (rise + fall), "SUMN": fall / (rise + fall), "SUMD": (rise - fall) / (rise + fall),
        "VMA": v[there].mean() / traded, "VSTD": v[there].std(ddof=1) / traded,
        "WVMA": weighted.std(ddof=1) / weighted.mean(), "VSUMP": more / (more + less), "VSUMN": less / (more + less),
        "VSUMD": (more - less) / (more + less)}


@pytest.mark.parametrize("d", [10, 30])
def test_a_window_with_gaps_is_made_of_what_is_there(d: int) -> None:
    bars = world(300, 1, missing=0.05)
    found, gapped = computed(bars), 0
    of_changes = {"CORD", "CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD", "WVMA", "VSUMP", "VSUMN", "VSUMD"}
    close = bars["close"][:, 0]
    for row in range(60, 300):
        if np.isnan(close[row]):
            continue
        bars_there = (~np.isnan(close[row - d + 1:row + 1])).sum()
        changes_there = (~np.isnan(np.diff(close[row - d:row + 1]))).sum()
        gapped += bars_there < d
        for name, expected in _gapped(bars, row, d).items():
            got = found[f"alpha_{name.lower()}_{d}"][row, 0]
            if (changes_there if name in of_changes else bars_there) < math.ceil(0.9 * d):
                assert np.isnan(got), (name, row)
            else:
                assert got == pytest.approx(expected, rel=1e-8, abs=1e-10), (name, row)
    assert gapped > 50


LONG = world(2 * alpha.BLOCK + 150, 3, missing=0.01, seed=9)
WHOLE = computed(LONG)


@given(start=st.integers(0, 2 * alpha.BLOCK), length=st.integers(61, 700), column=st.integers(0, 2))
@settings(max_examples=25)
def test_neither_the_start_nor_other_rows_and_symbols_matter(start: int, length: int, column: int) -> None:
    part = computed({field: values[start:start + length, column:column + 1] for field, values in LONG.items()})
    for feature in GROUP.features:
        whole = WHOLE[feature.name][start + feature.lookback:start + length, column]
        assert part[feature.name][feature.lookback:, 0].tobytes() == whole.tobytes(), feature.name


def test_the_declared_lookback_is_exact() -> None:
    last, moved = 199, set()
    spans = sorted({feature.lookback for feature in GROUP.features})
    assert spans == [0, 4, 5, 9, 10, 19, 20, 29, 30, 59, 60]
    for span in spans:
        for factors in ((1.1, 1.6, 0.7, 1.3, 2.0), (0.9, 1.01, 0.5, 0.6, 0.4)):
            changed = {field: values.copy() for field, values in DATA.items()}
            for field, factor in zip(FIELDS, factors, strict=True):
                changed[field][last - span] *= factor
            now = computed(changed)
            for feature in GROUP.features:
                other = (now[feature.name][last] != OURS[feature.name][last]).any()
                assert not (other and span > feature.lookback), feature.name
                if other and span == feature.lookback:
                    moved.add(feature.name)
    assert moved == {feature.name for feature in GROUP.features}


def test_a_frozen_price_without_trades() -> None:
    flat = {**{field: np.full((100, 1), 5.0) for field in FIELDS}, "volume": np.zeros((100, 1))}
    last = {name: value[-1, 0] for name, value in computed(flat).items()}
    undefined = {name for name, value in last.items() if np.isnan(value)}
    neutral = {feature.name for feature in GROUP.features if feature.neutral == 0.0}
    assert undefined == neutral == {f"alpha_{name}_{d}" for name in ("rsqr", "corr", "cord") for d in WINDOWS}
    assert all(np.isfinite(value) for name, value in last.items() if name not in undefined)
    assert last["alpha_rank_5"] == (5 + 1) / 2 / 5
    assert (last["alpha_imax_10"], last["alpha_imxd_10"], last["alpha_vma_10"]) == (0.1, 0.0, 0.0)


def test_hours_without_trades_are_left_out_of_their_changes_correlation() -> None:
    quiet = {field: values.copy() for field, values in DATA.items()}
    quiet["volume"][190:194, 0] = 0.0
    found = computed(quiet)["alpha_cord_20"][-1, 0]
    close, volume = (quiet[field][-21:, 0] for field in ("close", "volume"))
    kept = volume[:-1] > 0
    assert kept.sum() == 16
    assert found == pytest.approx(np.corrcoef((close[1:] / close[:-1])[kept],
                                              np.log(volume[1:][kept] / volume[:-1][kept] + 1))[0, 1], rel=1e-9)


@pytest.mark.parametrize("name", ["alpha_kmid", "alpha_resi_20", "alpha_wvma_5"])
def test_one_feature_costs_its_own_kernel_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def noted(kernel: str) -> Callable[..., np.ndarray]:
        original = getattr(alpha, kernel)
        return lambda *details: (called.append(kernel), original(*details))[1]

    for kernel in ("line", "extremes", "moves", "steps", "correlation", "activity"):
        monkeypatch.setattr(alpha, kernel, noted(kernel))
    one = replace(GROUP, features=tuple(feature for feature in GROUP.features if feature.name == name))
    with np.errstate(all="ignore"):
        found = one.on_bars(Bars(**DATA))
    assert list(found) == [name]
    assert found[name].tobytes() == OURS[name].tobytes()
    assert called == {"alpha_kmid": [], "alpha_resi_20": ["line"], "alpha_wvma_5": ["steps", "activity"]}[name]
