"""The same rows for both sides, out of sample for both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.contracts.records import EVIDENCE_COLUMNS, Outcome
from pipelines.errors import ContractError
from pipelines.gate import decide
from pipelines.registry import evidence, promotion
from pipelines.store import snapshots
from pipelines.validation import metrics
from tests.unit.registry.world import AT, DAY, START, World, make_line, make_rows, said

AS_OF = START + 30 * DAY
DAYS = 23  # history of the line


def crown(world: World, candidate) -> None:  # type: ignore[no-untyped-def]
    promotion.apply(world.warehouse, world.settings, world.line, candidate, said(Outcome.PROMOTE), actor="gate", at=AT)


def test_the_first_candidate_meets_the_better_naive_forecast(world: World) -> None:
    candidate = world.train(AS_OF)
    found = evidence.assemble(world.warehouse, world.settings, world.line, candidate)
    rows = snapshots.get(world.warehouse, candidate.evidence_digest)
    assert tuple(rows.columns) == EVIDENCE_COLUMNS
    assert (found.champion_version, found.overlap, found.rows, found.trials) == (None, 0, len(rows), 2)
    assert list(found.losses.columns) == ["candidate", "base_rate", "persistence"]
    means = found.losses.mean()
    assert found.opponent == means[["base_rate", "persistence"]].idxmin()
    assert found.losses.index.is_monotonic_increasing
    assert found.losses.index.is_unique
    by_hand = metrics.losses(rows["y"], rows["candidate"])
    assert means["candidate"] == pytest.approx(by_hand.mean())  # every timestamp has all three symbols
    assert found.net_returns is not None
    assert found.metrics["candidate"]["net_return_mean"] == pytest.approx(found.net_returns["candidate"].mean())
    assert found.metrics["base_rate"]["net_return"] == 0.0  # it never leaves the band
    verdict = decide(found, world.line.gate)
    assert verdict.outcome is Outcome.PROMOTE, verdict.reasons


def test_a_line_without_edge_is_refused(world: World) -> None:
    for seed in range(4):
        candidate = world.train(AS_OF, edge=0.0, seed=seed)
        verdict = decide(evidence.assemble(world.warehouse, world.settings, world.line, candidate), world.line.gate)
        assert verdict.outcome is not Outcome.PROMOTE


def test_the_champion_scores_the_same_rows_after_it_was_trained(world: World) -> None:
    champion = world.train(AS_OF)
    crown(world, champion)
    later = world.train(AS_OF + 4 * DAY, seed=1)
    found = evidence.assemble(world.warehouse, world.settings, world.line, later)
    rows = snapshots.get(world.warehouse, later.evidence_digest)
    kept = rows[rows["event_time"] > champion.trained_through]
    assert 0 < len(kept) < len(rows)
    assert (found.rows, found.opponent, found.champion_version) == (len(kept), "champion", 1)
    assert list(found.losses.columns) == ["candidate", "champion", "base_rate", "persistence"]
    values = snapshots.get(world.warehouse, later.snapshot_digest).set_index(["symbol", "event_time"])
    model = world.models[1]
    by_hand = model.predict(values.loc[list(zip(kept["symbol"], kept["event_time"], strict=True)),
                                       list(model.feature_names)].to_numpy())
    assert found.losses["champion"].mean() == pytest.approx(metrics.losses(kept["y"], by_hand).mean())


def test_after_the_market_turned_the_new_model_wins(world: World) -> None:
    champion = world.train(AS_OF)
    crown(world, champion)
    turned = world.train(AS_OF + 30 * DAY, edge=-1.0, seed=2)
    verdict = decide(evidence.assemble(world.warehouse, world.settings, world.line, turned), world.line.gate)
    assert verdict.outcome is Outcome.PROMOTE, verdict.reasons
    assert verdict.champion_version == 1
    number = promotion.record(world.warehouse, world.line, turned, verdict, at=AT)
    assert promotion.apply(world.warehouse, world.settings, world.line, turned, verdict, actor="gate", at=AT)
    # Judged once more it meets the champion that it replaced, not itself: the ledger gets nothing new.
    again = decide(evidence.assemble(world.warehouse, world.settings, world.line, turned), world.line.gate)
    assert promotion.record(world.warehouse, world.line, turned, again, at=AT) == number


def test_too_soon_after_the_champion_nothing_can_be_said(world: World) -> None:
    crown(world, world.train(AS_OF))
    twin = world.train(AS_OF, seed=1)
    found = evidence.assemble(world.warehouse, world.settings, world.line, twin)
    assert (found.rows, found.net_returns, found.metrics) == (0, None, {})
    verdict = decide(found, world.line.gate)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "Only 0 rows are out of sample" in verdict.reasons[0]


def test_a_target_that_cannot_be_traded_has_no_returns(world: World) -> None:
    world.line = make_line(costs=None, target={"kind": "volatility", "horizon_bars": 24},
                           gate={"min_rows": 100, "min_auc": 0.5})
    frame = make_rows(world.line, AS_OF - DAYS * DAY, DAYS).assign(forward_return=np.nan)
    found = evidence.assemble(world.warehouse, world.settings, world.line, world.train(AS_OF, frame=frame))
    assert found.net_returns is None
    assert found.overlap == 23
    assert "net_return" not in found.metrics["candidate"]


def test_evidence_and_snapshot_have_to_fit(world: World) -> None:
    crown(world, world.train(AS_OF))
    later = world.train(AS_OF + 10 * DAY, seed=1)
    cut = snapshots.get(world.warehouse, later.snapshot_digest).iloc[:-30]
    damaged = world.put(cut, "training", AS_OF, AS_OF + DAY)
    with pytest.raises(ContractError, match="rows that its training snapshot lacks"):
        evidence.assemble(world.warehouse, world.settings, world.line, replace(later, snapshot_digest=damaged.digest))


def test_of_texts_the_lexicon_is_what_has_to_be_beaten(world: World) -> None:
    """The same rows, judged once with a lexicon that knows more than the candidate and once with one that knows
    nothing."""
    candidate = world.train(AS_OF)
    rows, tried = (snapshots.get(world.warehouse, digest) for digest in (
        candidate.evidence_digest, candidate.search_digest))
    for sharp in (True, False):
        both = [part.assign(lexicon=np.where(part["y"] == 1, 0.7, 0.3) if sharp else 0.9) for part in (rows, tried)]
        found = evidence.judged(world.line, candidate, *both, None)
        assert list(found.losses.columns) == ["candidate", "base_rate", "persistence", "lexicon"]
        verdict = decide(found, world.line.gate)
        assert (found.opponent == "lexicon") == sharp
        assert verdict.outcome is (Outcome.REJECT if sharp else Outcome.PROMOTE), verdict.reasons
        if sharp:
            assert "Significantly worse than lexicon" in verdict.reasons[0]
        # Beside a champion the lexicon stays a floor: nobody who is significantly worse than it is promoted.
        third = evidence.judged(world.line, candidate, *(part.assign(champion=0.5) for part in both), 1)
        assert third.opponent == "champion"
        floor = [reason for reason in decide(third, world.line.gate).reasons if "naive lexicon" in reason]
        assert len(floor) == int(sharp)
