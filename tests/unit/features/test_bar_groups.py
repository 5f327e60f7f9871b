"""The plain windows against pandas, at their edges, and in their declared look-backs (``test_laws`` has what every
group must keep)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipelines.features import catalog
from pipelines.features.declare import Bars, Feature
from pipelines.features.view import FIELDS
from tests.unit.features.world import clean

GROUPS = [catalog.GROUPS[name] for name in ("returns", "trend", "volatility")]
FEATURES = [feature for group in GROUPS for feature in group.features]
HOURS = 420


def arrays(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {field: np.ascontiguousarray(frame.pivot(index="event_time", columns="symbol", values=field).to_numpy())
            for field in FIELDS}


def computed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return {name: value for group in GROUPS for name, value in group.on_bars(Bars(**values)).items()}


DATA = arrays(clean(HOURS, ("AUSDT", "BUSDT")))
OURS = computed(DATA)
OPEN, H, L, C, V = (pd.DataFrame(DATA[field]) for field in FIELDS)
R2 = np.log(C / C.shift()) ** 2
CHANGE = C.diff()
TRUE_RANGE = np.maximum(H, C.shift()) - np.minimum(L, C.shift())
GARMAN_KLASS = 0.5 * np.log(H / L) ** 2 - (2 * math.log(2) - 1) * np.log(C / OPEN) ** 2

BODY, GAP, UP, DOWN = np.log(C / OPEN), np.log(OPEN / C.shift()), np.log(H / OPEN), np.log(L / OPEN)
ROGERS_SATCHELL = (np.log(H / C) * UP + np.log(L / C) * DOWN).rolling(24).mean()
K = 0.34 / (1.34 + 25 / 23)

ORACLES: dict[str, Callable[[], pd.DataFrame]] = {
    **{f"return_{hours}h": lambda hours=hours: np.log(C / C.shift(hours)) for hours in (1, 4, 12, 24)},
    "volume_ratio_24h": lambda: np.log1p(V / V.rolling(24).mean()),
    **{f"sma_distance_{hours}h": lambda hours=hours: np.log(C / C.rolling(hours).mean()) for hours in (24, 168)},
    "rsi_14h": lambda: 100 - 100 / (1 + CHANGE.clip(lower=0).rolling(14).mean()
                                    / (-CHANGE.clip(upper=0)).rolling(14).mean()),
    "bollinger_z_20h": lambda: (C - C.rolling(20).mean()) / C.rolling(20).std(ddof=0),
    "momentum_168h": lambda: np.log(C / C.shift(168)),
    **{f"realised_volatility_{hours}h": lambda hours=hours: np.sqrt(R2.rolling(hours).mean())
       for hours in (6, 24, 168)},
    "parkinson_24h": lambda: np.sqrt((np.log(H / L) ** 2).rolling(24).mean() / (4 * math.log(2))),
    "garman_klass_24h": lambda: np.sqrt(GARMAN_KLASS.rolling(24).mean()),
    "rogers_satchell_24h": lambda: np.sqrt(ROGERS_SATCHELL),
    "yang_zhang_24h": lambda: np.sqrt(GAP.rolling(24).var() + K * BODY.rolling(24).var() + (1 - K) * ROGERS_SATCHELL),
    "atr_14h": lambda: TRUE_RANGE.rolling(14).mean() / C,
    "volatility_ratio_24_168h": lambda: 0.5 * np.log(R2.rolling(24).mean() / R2.rolling(168).mean()),
}


@pytest.mark.parametrize("name", [feature.name for feature in FEATURES])
def test_equals_pandas(name: str) -> None:
    expected = ORACLES[name]().to_numpy()
    warm = slice(200, None)
    assert np.isfinite(OURS[name][warm]).all()
    np.testing.assert_allclose(OURS[name][warm], expected[warm], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("feature", FEATURES, ids=[feature.name for feature in FEATURES])
def test_the_declared_lookback_is_exact(feature: Feature) -> None:
    last = HOURS - 1

    def value_when_changed(back: int) -> float:
        changed = {field: values.copy() for field, values in DATA.items()}
        for field, factor in {"open": 1.1, "high": 1.6, "low": 0.7, "close": 1.3, "volume": 2.0}.items():
            changed[field][last - back] *= factor
        return float(computed(changed)[feature.name][last, 0])

    usual = OURS[feature.name][last, 0]
    assert value_when_changed(feature.lookback) != usual
    assert value_when_changed(feature.lookback + 1) == usual


@pytest.fixture(scope="module")
def brownian() -> Callable[[float, float], dict[str, np.ndarray]]:
    """The range estimators on hours of 2,000 steps, as shares of the true volatility, with a drift and a gap between
    hours in units of it."""
    steps = np.random.default_rng(8).standard_normal((1, 2400, 2000)) * (0.01 / 2000 ** 0.5)
    jumps = np.random.default_rng(9).standard_normal(2400) * 0.01

    def shares(drift: float, gap: float) -> dict[str, np.ndarray]:
        path = np.cumsum(steps[0] + drift * 0.01 / 2000, axis=1)
        before = np.concatenate([[0.0], np.cumsum(path[:, -1] + gap * jumps)[:-1]]) + gap * jumps
        top, bottom = np.maximum(path.max(axis=1), 0), np.minimum(path.min(axis=1), 0)
        bars = np.exp(before + np.stack([np.zeros_like(top), top, bottom, path[:, -1]]))[:, :, None]
        found = catalog.GROUPS["volatility"].on_bars(Bars(*bars, np.ones_like(bars[0])))
        return {name: np.sqrt(np.mean(found[f"{name}_24h"][24:] ** 2)) / 0.01
                for name in ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang")}

    return shares


def test_range_estimators_find_the_volatility_of_a_random_walk(
        brownian: Callable[[float, float], dict[str, np.ndarray]]) -> None:
    # 2,000 steps hide about a hundredth of an hour's extremes.
    assert all(0.97 < share < 1.02 for share in brownian(0.0, 0.0).values())


def test_which_of_them_a_drift_or_a_gap_misleads(brownian: Callable[[float, float], dict[str, np.ndarray]]) -> None:
    drifting = brownian(1.0, 0.0)
    assert drifting["parkinson"] > 1.15
    assert 0.96 < drifting["rogers_satchell"] < 1.02
    assert 0.96 < drifting["yang_zhang"] < 1.02
    jumping = brownian(0.0, 1.0)
    assert jumping["yang_zhang"] == pytest.approx(2 ** 0.5, rel=0.03)  # the gap's variance is as large as the hour's
    assert jumping["rogers_satchell"] < 1.02


def test_a_frozen_price_without_trades_is_finite_and_neutral() -> None:
    flat = {**{field: np.full((200, 1), 5.0) for field in FIELDS}, "volume": np.zeros((200, 1))}
    last = {name: value[-1, 0] for name, value in computed(flat).items()}
    assert all(np.isfinite(value) for value in last.values())
    assert last["rsi_14h"] == 50
    assert {name: value for name, value in last.items() if name != "rsi_14h" and value != 0} == {}


@pytest.mark.parametrize(("step", "rsi"), [(1.0, 100.0), (-1.0, 0.0)])
def test_rsi_at_its_ends(step: float, rsi: float) -> None:
    path = (500 + step * np.arange(100.0))[:, None]
    values = computed({**dict.fromkeys(FIELDS, path), "volume": np.ones((100, 1))})
    assert values["rsi_14h"][-1, 0] == rsi


def test_one_missing_hour_blinds_no_week() -> None:
    holed = {field: values.copy() for field, values in DATA.items()}
    for values in holed.values():
        values[240, 0] = np.nan
    frame = pd.DataFrame({name: np.isfinite(value[241:, 0]) for name, value in computed(holed).items()})
    blind = frame.index[~frame.all(axis=1)] + 1
    # The 14 hours of RSI and ATR, whose windows miss two changes, and the returns that begin at the hole.
    assert set(blind) == {*range(1, 14), 24, 168}
    assert frame.drop(columns=["return_1h", "return_4h", "return_12h", "return_24h", "realised_volatility_6h",
                               "momentum_168h", "rsi_14h", "atr_14h"]).all(axis=None)
