"""Real trainings in a scratch database: the evidence is a training's, and nothing stays behind."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import numpy as np
import pandas as pd
import psycopg2
import pytest

from infra.local.postgres import EmbeddedPostgres
from pipelines.calibration.gate import measure, scenarios, trainings
from pipelines.calibration.gate.trainings import LAG, LINE, START, STEP, WARM_UP, evidence_of, shuffled, train
from pipelines.calibration.gate.workshop import open_workshop
from pipelines.config import Simulator
from pipelines.errors import ContractError
from pipelines.gate.rules import CHAMPION


def test_a_training_and_its_evidence(postgres: EmbeddedPostgres) -> None:
    def databases() -> set[str]:
        url = postgres.url("postgres").replace("+psycopg2", "")
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            return {name for (name,) in cursor.fetchall()}

    before = databases()
    with open_workshop(postgres.url("postgres")) as workshop:
        world = Simulator(seed=1, start=START, symbols=1, edge=1.0, days=(WARM_UP + LAG * STEP).days)
        challenger, champion = (train(workshop, world, START + WARM_UP + at * STEP, 7 + at) for at in (LAG, 0))
        assert train(workshop, world, START + WARM_UP, 7) is champion  # once for equal arguments
        naive, found = evidence_of(challenger, None), evidence_of(challenger, champion)
        assert len(databases() - before) == 2
    assert databases() == before
    assert naive.opponent in ("base_rate", "persistence")
    assert found.opponent == CHAMPION
    for evidence in (naive, found):
        assert evidence.trials == LINE.search.trials
        assert evidence.selected is not None
        assert evidence.search is not None
        assert len(evidence.search.columns) - 1 <= LINE.search.trials
        assert evidence.search.index[-1] < evidence.losses.index[0]
        assert len(evidence.losses) > 0.9 * 7 * 24
    assert found.search is not None
    assert found.search.index[0] > champion.candidate.trained_through
    assert found.search.index[0] - champion.candidate.trained_through < timedelta(days=2)


def test_days_change_places_whole() -> None:
    at = pd.date_range("2024-01-01", periods=24 * 40, freq="h", tz="UTC")
    day = np.repeat(np.arange(40), 24)
    frame = pd.DataFrame({"symbol": "A", "event_time": at, "y": (day * 7 % 3 == 0).astype("int64"),
                          "forward_return": day * 100.0 + at.hour, "x": np.arange(len(at), dtype=float)}).drop(
                              index=[30, 31]).reset_index(drop=True)
    found = shuffled(frame, np.random.default_rng(1))
    assert len(found) in (len(frame), len(frame) - 1, len(frame) - 2)
    source = found["forward_return"] // 100
    assert (found.groupby(found["event_time"].dt.normalize())["forward_return"].agg(
        lambda part: (part // 100).nunique()) == 1).all()
    assert (found["forward_return"] % 100 == found["event_time"].dt.hour).all()
    assert (found["y"] == (source * 7 % 3 == 0)).all()
    assert source.nunique() == 40
    assert (source != found["x"] // 24).any()
    assert found["x"].isin(frame["x"]).all()


def test_without_a_server_real_trainings_are_refused() -> None:
    with pytest.raises(ContractError, match="need a workshop"):
        measure(scenarios()["real_edge0"], 1, 0)


def test_the_plan_leaves_the_champion_nothing_it_has_seen() -> None:
    walk = LINE.walk_forward
    assert timedelta(days=walk.test_days * walk.search_folds + walk.evidence_days) >= LAG * STEP
    assert timedelta(days=walk.evidence_days) <= STEP
    assert trainings.PATIENCE >= LAG
