"""What the catalog promises about every feature."""

from __future__ import annotations

import pytest

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS
from pipelines.errors import ConfigError
from pipelines.features import NAIVE, catalog


def test_every_feature_is_declared_well() -> None:
    table = catalog.describe()
    assert table["feature"].is_unique
    assert not set(table["feature"]) & {*FEATURE_META, *LABEL_COLUMNS, *NAIVE, "prev_label"}
    assert table["feature"].str.fullmatch(r"[a-z][a-z0-9_]*").all()
    assert table["lookback"].between(0, 2000).all()
    assert (table[["inputs", "unit", "source"]].map(len) > 0).all(axis=None)


def test_bar_features_are_required_and_what_may_be_absent_has_a_neutral_value() -> None:
    for group in catalog.GROUPS.values():
        assert [group.from_bars, group.from_rows, group.from_texts].count(None) == 2
        if group.name in ("returns", "trend", "volatility", "oscillators", "regime", "time"):
            assert all(feature.neutral is None for feature in group.features)
        if group.from_bars is None:
            assert all(feature.lookback == 0 for feature in group.features)


def test_select() -> None:
    assert [group.name for group in catalog.select(("time", "returns"))] == ["time", "returns"]
    assert catalog.lookback(catalog.select(("time",))) == 0
    assert catalog.lookback(catalog.select(("time", "volatility"))) == 168
    with pytest.raises(ConfigError, match="name each group once, from: returns, trend"):
        catalog.select(("time", "astrology"))
    with pytest.raises(ConfigError, match="once"):
        catalog.select(("time", "time"))
