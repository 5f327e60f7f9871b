"""What the catalog promises about every feature."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace

import numpy as np
import pytest

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS
from pipelines.errors import ConfigError
from pipelines.features import NAIVE, catalog
from pipelines.features.declare import Feature, Group
from tests.unit.features.world import line


def test_every_feature_is_declared_well() -> None:
    table = catalog.describe()
    columns = [feature.name for feature in catalog.features(tuple(catalog.GROUPS.values()))]
    assert len(set(columns)) == len(columns)
    assert not {*columns, *table["feature"]} & {*FEATURE_META, *LABEL_COLUMNS, *NAIVE, "prev_label", *catalog.GROUPS}
    assert table["feature"].str.fullmatch(r"[a-z][a-z0-9_]*").all()
    assert table["lookback"].between(0, 2000).all()
    words = ["inputs", "unit", "availability", "source", "gaps", "absent"]
    assert (table[words].map(len) > 0).all(axis=None)
    assert ((table["absent"] == "row left out") == table["neutral"].isna()).all()


@pytest.mark.parametrize("group", catalog.GROUPS.values(), ids=catalog.GROUPS)
def test_a_group_is_one_file_and_computed_in_one_way(group: Group) -> None:
    home = importlib.import_module(f"pipelines.features.groups.{group.name}")
    assert home.GROUP is group
    assert len(home.__doc__ or "") > 50  # it opens the group's section of the guide
    assert [group.from_bars, group.from_rows, group.from_texts].count(None) == 2
    if group.from_bars is None:
        assert all(feature.lookback == 0 for feature in group.features)


def test_what_a_group_does_not_say_holds_for_its_kind() -> None:
    feature = Feature("f", ("close",), 3, "1", "c")
    made = Group("one", (feature,), from_bars=lambda _: {})
    assert made.availability.startswith("at the close of its bar")
    assert "0.9" in made.gaps
    assert Group("one", (feature,), from_rows=lambda _: {}).availability.startswith("at the row's time")
    assert Group("one", (feature,), from_rows=lambda _: {}, availability="in advance").availability == "in advance"
    assert (feature.absent, replace(feature, neutral=0.5).absent) == ("row left out", "0.5")


class TestSelect:
    def test_groups_in_their_order(self) -> None:
        assert catalog.select(("time", "returns")) == (catalog.GROUPS["time"], catalog.GROUPS["returns"])
        assert catalog.lookback(catalog.select(("time",))) == 0
        assert catalog.lookback(catalog.select(("time", "volatility"))) == 168

    def test_single_features(self) -> None:
        found = catalog.select(("volatility.atr_14h", "time", "volatility.parkinson_24h", "returns.return_1h"))
        assert [(group.name, [feature.name for feature in group.features]) for group in found if group.name != "time"
                ] == [("volatility", ["atr_14h", "parkinson_24h"]), ("returns", ["return_1h"])]
        assert [group.name for group in found] == ["volatility", "time", "returns"]
        assert catalog.lookback(found) == 23  # not the week that the whole group looks back
        assert catalog.inputs(found) == {"high", "low", "close", "event_time"}

    def test_all_features_of_a_group_in_its_order_are_the_group(self) -> None:
        every = tuple(f"trend.{feature.name}" for feature in catalog.GROUPS["trend"].features)
        assert catalog.select(every) == (catalog.GROUPS["trend"],)
        assert catalog.select(("words.word",)) == (catalog.GROUPS["words"],)

    @pytest.mark.parametrize(("names", "words"), [
        (("time", "astrology"), r"'astrology', which is unknown; name groups.* from: returns, trend"),
        (("time", "time"), "names time more than once; name each group and each feature once"),
        (("trend.rsi_14h", "trend.rsi_14h"), "names trend.rsi_14h more than once"),
        (("trend.rsi_14h", "trend"), "'trend.rsi_14h' beside its whole group; leave one of the two out"),
        (("trend", "trend.rsi_14h"), "'trend.rsi_14h' beside its whole group"),
        (("rsi_14h",), r"did you mean 'trend.rsi_14h'\?"),
        (("vola",), r"'vola', which is unknown"),
        (("returns.rsi_14h",), r"did you mean 'trend.rsi_14h'\? returns has: return_1h, return_4h"),
        (("trend.",), r"names 'trend.'; trend has: sma_distance_24h"),
        (("returns.return_1",), r"did you mean 'returns.return_1h'\?"),
    ])
    def test_what_cannot_be_meant_is_refused(self, names: tuple[str, ...], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            catalog.select(names)

    def test_a_part_of_what_is_computed_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        two = tuple(Feature(name, ("labels:text",), 0, "1", "a") for name in ("one_text", "other_text"))
        monkeypatch.setitem(catalog.GROUPS, "pair", Group("pair", two, from_texts=lambda _: np.empty((0, 2))))
        with pytest.raises(ConfigError, match="pair is computed whole"):
            catalog.select(("pair.one_text",))


class TestStamp:
    def test_it_names_version_and_content(self) -> None:
        whole = catalog.stamp(line(groups=("returns", "trend")))
        assert re.fullmatch(r"1-[0-9a-f]{12}", whole)
        assert catalog.stamp(line(groups=("returns", "trend"))) == whole
        assert len({whole, *(catalog.stamp(line(groups=groups)) for groups in (
            ("trend", "returns"), ("returns",), ("returns", "trend.rsi_14h")))}) == 4

    def test_a_changed_declaration_changes_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = catalog.stamp(line(groups=("returns",)))
        group = catalog.GROUPS["returns"]
        first = replace(group.features[0], lookback=2)
        monkeypatch.setitem(catalog.GROUPS, "returns", replace(group, features=(first, *group.features[1:])))
        assert catalog.stamp(line(groups=("returns",))) != before
