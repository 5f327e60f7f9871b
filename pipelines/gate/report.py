"""A verdict in words: for the terminal, the model version's description and the run's notes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipelines.contracts.records import Outcome, Verdict
from pipelines.gate.decide import SEARCH

_HEADLINE = {
    Outcome.PROMOTE: "Promote: the candidate replaces {opponent}.",
    Outcome.INCONCLUSIVE: "Inconclusive: the candidate stays in shadow; the evidence against {opponent} cannot tell.",
    Outcome.REJECT: "Reject: the candidate does not replace {opponent}.",
}
_OPPONENT = {"champion": "the champion", "base_rate": "the base rate", "persistence": "persistence",
             "lexicon": "the lexicon"}
_SHOWN = ("log_loss", "auc", "brier", "accuracy", "net_return_mean")


def sentences(verdict: Verdict) -> list[str]:
    """The outcome, its reasons, and what the evidence could have seen; one plain sentence each."""
    opponent = _OPPONENT.get(verdict.opponent, verdict.opponent)
    lines = [_HEADLINE[verdict.outcome].format(opponent=opponent), *verdict.reasons]
    if told := _of_the_search(verdict.metrics.get(SEARCH, {})):
        lines.append(f"Of the search's {verdict.trials} trials: {told}.")
    if math.isfinite(verdict.minimum_detectable):
        lines.append(f"With {verdict.periods} timestamps the smallest effect seen with 80 % power is "
                     f"{verdict.minimum_detectable:.5f} nats.")
    return lines


def markdown(verdict: Verdict) -> str:
    """The same as a short Markdown page: outcome, reasons, the effect with its interval, metrics side by side."""
    first, *rest = sentences(verdict)
    lines = [f"**{first}**", "", *(f"- {sentence}" for sentence in rest), "",
             "| effect (nats) | 95 % interval | one-sided p | smallest detectable | timestamps | rows |",
             "|---|---|---|---|---|---|",
             f"| {_number(verdict.effect)} | {_number(verdict.effect_low)} to {_number(verdict.effect_high)} | "
             f"{_number(verdict.p_value)} | {_number(verdict.minimum_detectable)} | {verdict.periods} | "
             f"{verdict.rows} |"]
    names = [name for name in _SHOWN if any(name in values for values in verdict.metrics.values())]
    if names:
        lines += ["", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|",
                  *(f"| {contender} | " + " | ".join(_number(values.get(name, math.nan)) for name in names) + " |"
                    for contender, values in verdict.metrics.items() if contender != SEARCH)]
    return "\n".join(lines) + "\n"


def _of_the_search(figures: Mapping[str, float]) -> str:
    """What was asked of all trials together; nothing where there was too little to ask."""
    words = {"p_search": "best against the opponent p {:.4f}", "p_spa": "by Hansen's bootstrap p {:.4f}",
             "pbo": "probability of backtest overfitting {:.0%}", "dsr": "deflated Sharpe ratio {:.2f}"}
    return ", ".join(text.format(figures[name]) for name, text in words.items() if name in figures)


def _number(value: float) -> str:
    return f"{value:.5f}" if math.isfinite(value) else "n/a"
