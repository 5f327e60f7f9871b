"""The model card: what a version is, what it was made from, how it did, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipelines.contracts.line import Line
from pipelines.contracts.records import BASELINES
from pipelines.features import catalog
from pipelines.training.measure import Measure
from pipelines.validation.metrics import NAMES

_TARGETS = {
    "direction": "1 when the close {h} bar(s) after the row's close is above it",
    "polarity": "1 when people find the text positive, and 0 when negative",
    "trade_win": "1 when the trade has earned something after its fees when it is closed",
    "triple_barrier": "1 when the price is {u:g} times its volatility over {v} bars higher before it is {l:g} times "
                      "lower, within {h} bar(s); untouched by then: {t}",
    "meta_label": "1 when a trade by {s} of {n} bars earns more than its costs, closed {u:g} times the volatility over "
                  "{v} bars above, {l:g} times below or after {h} bar(s)",
    "volatility": "1 when the realised volatility of the next {h} bar(s) exceeds its trailing median over {m} bars",
}


_BAR_LIMITS = (
    "- Trained on the symbols, the interval and the feature version above; on anything else its probabilities mean "
    "nothing.\n"
    "- The evidence is short and markets change: monitoring decides when it is out of date.\n"
    "- Net figures assume execution at the next bar's open without market impact.\n")
_TEXT_LIMITS = (
    "- It knows the texts of the sources it was trained on; how it does on others nobody has measured.\n"
    "- It has never seen a neutral text: what it cannot tell lies near 0.5.\n"
    "- Language changes and nothing watches it: train it again on new labels.\n")
_TRADE_LIMITS = (
    "- It knows the trades that one strategy has made; of trades that it did not make, or makes under other rules, it "
    "says nothing.\n"
    "- To skip a trade changes what a strategy does next; the back-test of decisions leaves the others as they were.\n"
    "- Strategies and markets change and nothing watches it: train it again on new trades.\n")
_LIMITS = {"bars": _BAR_LIMITS, "texts": _TEXT_LIMITS, "trades": _TRADE_LIMITS}
_ROWS = {"texts": "labelled texts", "trades": "closed trades"}
_TIMES = {"bars": "bars opened", "texts": "texts written", "trades": "trades opened"}


@dataclass(frozen=True)
class Facts:
    """What the card needs to know, all of it plain."""

    line: Line
    as_of: str
    reason: str
    family: str
    params: Mapping[str, Any]
    trials: int
    snapshot_digest: str
    model_content: str
    git_commit: str
    lock_digest: str
    seed: int
    frame_rows: int
    symbols: Sequence[str]
    first: pd.Timestamp
    last: pd.Timestamp
    trained_from: pd.Timestamp
    trained_through: pd.Timestamp
    train_rows: int
    evidence_from: pd.Timestamp
    measures: Sequence[Measure]
    undefined: Mapping[str, str]
    importance: pd.Series
    importance_unit: str


def write(facts: Facts) -> str:
    """The card as Markdown."""
    line, values = facts.line, {item.name: item.value for item in facts.measures if not item.name.startswith("fold.")}
    rules = line.target
    target = _TARGETS[rules.kind].format(
        h=rules.horizon_bars, m=rules.median_bars, u=rules.upper, l=rules.lower, v=rules.volatility_bars, s=rules.side,
        n=rules.side_bars, t="the sign of the return" if rules.timeout == "sign" else "no label")
    return "\n\n".join(part for part in (
        f"# {line.title}",
        f"Candidate of line `{line.name}` as of {facts.as_of}; reason `{facts.reason}`; owner {line.owner}.",
        "## What it predicts\n\n"
        f"P(y = 1) for {_rows(line)}, where y is {target}. Feature groups "
        f"(version `{catalog.stamp(line)}`): {', '.join(line.features.groups)}.",
        "## What it learned from\n\n" + _table(("", ""), [
            ("snapshot", f"`{facts.snapshot_digest}`"),
            ("rows", f"{facts.frame_rows:,} of {len(facts.symbols)} symbols ({', '.join(facts.symbols)[:200]})"
             if line.on_bars else f"{facts.frame_rows:,} {_ROWS[line.target.rows]}"),
            (_TIMES[line.target.rows], f"{_time(facts.first)} to {_time(facts.last)}"),
            ("final fit", f"{facts.train_rows:,} rows from {_time(facts.trained_from)}; has seen labels known up to "
                          f"{_time(facts.trained_through)}"),
            ("evidence", f"walk-forward from {_time(facts.evidence_from)}; the search has not seen these rows"),
        ]),
        f"## How it was chosen\n\n`{facts.family}`, the best of {facts.trials} finished trials by mean log loss over "
        "walk-forward folds with purge and embargo.\n\n"
        + _table(("parameter", "value"), [(key, _value(value)) for key, value in facts.params.items()]),
        "## How it did on the evidence\n\n" + _scores(values),
        _net(values),
        _decisions(values),
        _undefined(facts.undefined),
        "## What it looks at\n\n" + _table(("feature", facts.importance_unit), [
            (str(name), _value(float(value))) for name, value in facts.importance.head(10).items()]),
        "## Limits\n\n" + _LIMITS[line.target.rows] +
        "- Scores on the search folds (`oos.*`) are optimistic, for the configuration was chosen on them.",
        "## How to rebuild it\n\n" + _table(("", ""), [
            ("code", f"`{facts.git_commit}`"), ("requirements.lock", f"`{facts.lock_digest[:16]}`"),
            ("seed", str(facts.seed)), ("model content", f"`{facts.model_content}`")]),
    ) if part) + "\n"


def _rows(line: Line) -> str:
    if line.target.rows == "trades":
        return "a trade at its opening"
    return f"each symbol at the close of each {line.interval} bar" if line.on_bars else (
        f"a text; those that people found neutral (within {line.target.neutral:g} of 0) were left out")


def _scores(values: Mapping[str, float]) -> str:
    contenders = {"candidate": "evidence.", **{name: f"evidence.{name}." for name in BASELINES
                                                if f"evidence.{name}.log_loss" in values}}
    rows = [(name, *(_value(values.get(prefix + name)) for prefix in contenders.values())) for name in NAMES]
    return _table(("metric", *contenders), rows)


def _net(values: Mapping[str, float]) -> str:
    rows = [(name.removeprefix("net."), _value(value)) for name, value in values.items() if name.startswith("net.")]
    return "## After costs\n\n" + _table(("figure", "value"), rows) if rows else ""


def _decisions(values: Mapping[str, float]) -> str:
    names = [name.removeprefix("decision.take.") for name in values if name.startswith("decision.take.")]
    rows = [(name, *(_value(values.get(f"decision.{rule}.{name}")) for rule in ("take", "all"))) for name in names]
    return ("## TAKE or SKIP\n\nTAKE where P(y = 1) reaches a threshold chosen on the training rows of each fold; the "
            f"final model's is {_value(values.get('decision.threshold'))}. Intervals are in `tables/decisions.csv`.\n\n"
            + _table(("evidence", "TAKE", "all trades"), rows)) if rows else ""


def _undefined(reasons: Mapping[str, str]) -> str:
    return "Undefined: " + "; ".join(f"`{name}`: {why}" for name, why in reasons.items()) + "." if reasons else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _value(value: Any) -> str:
    if value is None:
        return "undefined"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _time(stamp: pd.Timestamp) -> str:
    return f"{stamp:%Y-%m-%d %H:%M} UTC"
