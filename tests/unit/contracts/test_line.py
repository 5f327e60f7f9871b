"""Lines: what ships is valid, and nonsense is refused with its name."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.config import ROOT
from pipelines.contracts.line import Costs, load_lines, parse_line
from pipelines.errors import ConfigError

LINES = ROOT / "mlflow" / "lines"
MINIMAL = """
name = "tiny_1h"
title = "Tiny"
[target]
kind = "direction"
horizon_bars = 3
[features]
groups = ["returns"]
[walk_forward]
train_days = 10
test_days = 2
search_folds = 2
evidence_days = 4
[search]
families = ["logistic_regression"]
trials = 1
"""


def test_the_lines_that_ship() -> None:
    lines = load_lines(LINES)
    assert sorted(lines) == ["calendar_1h", "direction_1h", "text_polarity", "trade_win", "volatility_24h"]
    for line in lines.values():
        folds = line.walk_forward
        assert folds.history_days == folds.train_days + folds.test_days * folds.search_folds + folds.evidence_days


@pytest.mark.parametrize(("before", "after", "words"), [
    ('name = "direction_1h"', 'name = "Direction"', "name"),
    ('name = "direction_1h"', 'name = "other_1h"', "name the file other_1h.toml"),
    ('kind = "direction"', 'kind = "magic"', "target"),
    ("[search]", "[search]\nluck = 1", "luck"),
    ("[search]", "[search", "direction_1h.toml"),
])
def test_a_wrong_line_is_refused_with_its_name(tmp_path: Path, before: str, after: str, words: str) -> None:
    text = (LINES / "direction_1h.toml").read_text()
    assert before in text
    (tmp_path / "direction_1h.toml").write_text(text.replace(before, after, 1))
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_lines(tmp_path)


def test_no_line_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TIDEMARK_LINES_DIR"):
        load_lines(tmp_path)


@pytest.mark.parametrize(("change", "words"), [
    ({"retrain": 'on = ["schedule"]'}, "every_days is missing"),
    ({"gate": "require_net_return = true"}, "add fee_bps and slippage_bps"),
    ({"gate": "alpha = 0.5"}, "gate.alpha"),
    ({"gate.shadow": "looks = 27"}, "gate.shadow.looks"),
    ({"gate.shadow": "looks = 0"}, "gate.shadow.looks"),
    ({"gate.shadow": 'when = "sometimes"'}, "gate.shadow.when"),
    ({"gate.shadow": "alpha = 0"}, "gate.shadow.alpha"),
    ({"gate.shadow": "looks = 3\nevery_days = 1"}, "needs 4; raise looks or every_days, or set when = "),
    ({"gate.rollback": "watch_days = 3"}, r"gate\.rollback\.watch_days is 3; .* need 4; raise it, or set it to 0"),
    ({"gate.rollback": "watch_days = 10\nlooks = 12"}, "need 12"),
    ({"gate.rollback": "alpha = 0.3"}, "gate.rollback.alpha"),
    ({"gate.rollback": "days = 3"}, "gate.rollback.days"),
])
def test_rules_that_contradict_each_other_are_refused(change: dict[str, str], words: str) -> None:
    assert parse_line(MINIMAL).gate.approval == "auto"
    tables = "".join(f"\n[{name}]\n{body}\n" for name, body in change.items())
    with pytest.raises(ConfigError, match=words):
        parse_line(MINIMAL + tables)


def test_the_shadow_of_a_long_horizon_takes_longer() -> None:
    """A block is two horizons; the test needs four of them."""
    weekly = MINIMAL.replace("horizon_bars = 3", "horizon_bars = 168")
    assert (parse_line(MINIMAL).block_days, parse_line(MINIMAL.replace("= 3", "= 24")).block_days) == (1, 2)
    with pytest.raises(ConfigError, match=r"gate\.shadow ends after 28 days .* its test needs 56"):
        parse_line(weekly)
    with pytest.raises(ConfigError, match=r"gate\.rollback\.watch_days is 28; .* need 56"):
        parse_line(weekly + '[gate.shadow]\nwhen = "never"')
    line = parse_line(weekly + "[gate.shadow]\nlooks = 8\n[gate.rollback]\nwatch_days = 0")
    assert (line.gate.shadow.looks, line.gate.shadow.when, line.gate.shadow.futility) == (8, "inconclusive", True)


def test_names_that_follow_from_the_line() -> None:
    line = parse_line(MINIMAL)
    assert (line.experiment, line.registered_model) == ("tidemark/tiny_1h", "tidemark.tiny_1h")
    assert (line.bar, line.horizon) == (timedelta(hours=1), timedelta(hours=3))
    assert Costs(fee_bps=2, slippage_bps=1).one_way == pytest.approx(0.0003)


TEXTS = """
name = "tiny_texts"
title = "Tiny"
[target]
kind = "polarity"
[features]
groups = ["words"]
[walk_forward]
train_days = 10
test_days = 2
search_folds = 2
evidence_days = 4
[search]
families = ["tfidf_linear"]
trials = 1
[gate]
shadow = { when = "never" }
rollback = { watch_days = 0 }
[retrain]
on = []
"""


def test_a_line_that_learns_from_texts() -> None:
    line = parse_line(TEXTS)
    assert (line.on_bars, line.target.horizon_bars, line.target.neutral, line.target.sources) == (False, 1, 0.1, ())
    assert parse_line(MINIMAL).on_bars
    parse_line(MINIMAL).require_bars("predict")
    with pytest.raises(ConfigError, match="tiny_texts learns from labelled texts, and there are no bars to watch"):
        line.require_bars("watch")
    with pytest.raises(ConfigError, match=r"target\.horizon_bars: Field required"):
        parse_line(MINIMAL.replace("horizon_bars = 3", ""))


@pytest.mark.parametrize(("old", "new", "words"), [
    ('kind = "polarity"', 'kind = "polarity"\nhorizon_bars = 24', "a text has no horizon"),
    ('title = "Tiny"', 'title = "Tiny"\nsymbols = ["A"]', "name target.sources"),
    ("[retrain]", "[costs]\n[retrain]", "nobody trades a label"),
    ('shadow = { when = "never" }', "", r"gate\.shadow\.when = \"never\""),
    ("rollback = { watch_days = 0 }", "", r"gate\.rollback\.watch_days = 0"),
    ("on = []", "", r"retrain\.on = \[\]"),
    ('kind = "polarity"', 'kind = "polarity"\nneutral = 0', "target.neutral"),
])
def test_what_only_makes_sense_for_bars_is_refused_with_its_remedy(old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_line(TEXTS.replace(old, new))


TRADES = TEXTS.replace("tiny_texts", "tiny_trades").replace("polarity", "trade_win").replace(
    '["words"]', '["history"]').replace("tfidf_linear", "logistic_regression")


def test_a_line_that_learns_from_trades() -> None:
    line = parse_line(TRADES.replace('title = "Tiny"', 'title = "Tiny"\nsymbols = ["ETH/BTC"]'))
    assert (line.on_bars, line.target.rows, line.horizon, line.symbols) == (
        False, "trades", timedelta(hours=1), ("ETH/BTC",))
    with pytest.raises(ConfigError, match="tiny_trades learns from closed trades, and there are no bars to watch; "
                                          "train and judge it with `tidemark train tiny_trades` and `tidemark gate"):
        line.require_bars("watch")


@pytest.mark.parametrize(("old", "new", "words"), [
    ('kind = "trade_win"', 'kind = "trade_win"\nhorizon_bars = 24', "a trade has no horizon"),
    ("[retrain]", "[costs]\n[retrain]", "the outcomes of a log are after its fees"),
    ("[gate]", "[costs]\n[gate]\nrequire_net_return = true", "leave .costs. out"),
    ('shadow = { when = "never" }', "", r"a line of kind trade_win learns from trades; set gate\.shadow\.when"),
    ("on = []", "", r"retrain\.on = \[\]"),
    ('["history"]', '["history"]\nlongest_bars = 0', "features.longest_bars"),
])
def test_what_makes_no_sense_for_trades_is_refused_with_its_remedy(old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_line(TRADES.replace(old, new))


@pytest.mark.parametrize(("text", "found"), [
    ("", ("none",)), ('selection = "rfecv"', ("rfecv",)), ('selection = ["none", "stability"]', ("none", "stability"))])
def test_columns_are_chosen_one_way_or_as_each_trial_chooses(text: str, found: tuple[str, ...]) -> None:
    assert parse_line(MINIMAL + text).search.selection == found


@pytest.mark.parametrize(("text", "words"), [
    ('selection = "genetic"', "search.selection"), ("selection = []", "search.selection"),
    ('halving = "thirds"', "search.halving"), ("ahead = 0", "search.ahead"),
    ('early_stopping = "often"', "search.early_stopping")])
def test_a_search_that_cannot_be_made_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse_line(MINIMAL + text)
