"""Can the trades of a log be told apart at their entry? The line ``trade_win`` from files to verdict.

    python -m infra.studies.trade_win --data ../shared/data

How well each family does on the trades it has learned, and on those of the days that follow (walk-forward over all
folds, default parameters: nothing was chosen on them); then a training with its search, the gate's verdict, and what
TAKE or SKIP would have brought on the evidence days. Intervals: 95 %, stationary bootstrap over days. Ingest,
audit, snapshot, search, evidence and gate are those of a training; only MLflow is left out. ``--shuffle`` gives every
trade another one's outcome: what is left is chance.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

from infra.studies import scratch
from infra.studies.judging import Judged, judge
from pipelines import config
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line, load_lines
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.gate.report import sentences
from pipelines.ingest import providers
from pipelines.ingest import run as ingest_run
from pipelines.store import Warehouse
from pipelines.training import families, fit, take
from pipelines.validation.significance.bootstrap import stationary_indices

DRAWS = 2000
BLOCK = 2.0


def load(store: Warehouse, data: Path, manifest: Path, window: Window) -> int:
    """Take in a log and its bars; how many rows were written."""
    settings = config.load().model_copy(update={"source": "files", "data_dir": data, "manifest": manifest})
    provider = providers.create("files", settings)
    return sum(ingest_run.run(store, provider, month, kinds=[Kind.BARS, Kind.TRADES], at=window.end).written
               for month in window.months())


def interval(rows: pd.DataFrame, p: FloatArray, seed: int = 7, draws: int = DRAWS) -> tuple[float, float, float]:
    """The AUC of ``p`` and its 95 % interval over days."""
    y = rows["y"].to_numpy(dtype=np.float64)
    day = rows["event_time"].dt.floor("D")
    number = ((day - day.min()) // pd.Timedelta(days=1)).to_numpy()
    of_day = [np.flatnonzero(number == at) for at in range(int(number.max()) + 1)]
    drawn = [np.concatenate([of_day[at] for at in days])
             for days in stationary_indices(len(of_day), BLOCK, draws, seed)]
    low, high = np.nanpercentile([_auc(y[chosen], p[chosen]) for chosen in drawn], (2.5, 97.5))
    return _auc(y, p), float(low), float(high)


def _auc(y: FloatArray, p: FloatArray) -> float:
    """Mann and Whitney's statistic: the share of pairs of a win and a loss that ``p`` puts in order, ties by halves."""
    won = int(y.sum())
    if won in (0, len(y)):
        return float("nan")
    return float((rankdata(p)[y > 0].sum() - won * (won + 1) / 2) / (won * (len(y) - won)))


def honest(line: Line, found: Judged, family: str, draws: int = DRAWS) -> dict[str, tuple[float, float, float]]:
    """The AUC of a family with its default parameters: on the trades it has learned, and on those that came after."""
    params, seed, data = families.get(family).defaults, line.search.seed, found.data
    model, rows = fit.final(data, line, family, params, seed)
    folds = (*found.folds.search, *found.folds.evidence)
    later = fit.out_of_sample(data, folds, family, params, seed)
    return {"in sample": interval(data.frame.iloc[rows], model.predict(data.features[rows]), draws=draws),
            "walk-forward": interval(later, later["candidate"].to_numpy(), draws=draws)}


def main(
    data: Annotated[Path, typer.Option()],
    manifest: Annotated[Path, typer.Option()] = Path("tests/data/trades.toml"),
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])] = datetime(2021, 1, 1),
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])] = datetime(2021, 3, 1),
    shuffle: Annotated[bool, typer.Option(help="Permute the outcomes first.")] = False,
) -> None:
    """Figures, verdict and decisions, as tables."""
    console = Console(width=120)
    line = load_lines(config.load().lines_dir)["trade_win"]
    at = pd.Timestamp(as_of, tz="UTC").to_pydatetime()
    with scratch.warehouse() as store:
        load(store, data, manifest, Window(pd.Timestamp(start, tz="UTC").to_pydatetime(), at))
        found = judge(store, scratch.database(store, "optuna"), line, at, shuffle=shuffle)
    frame = found.data.frame
    console.print(f"{len(frame)} trades of {frame['symbol'].nunique()} markets, {frame['event_time'].min():%Y-%m-%d} "
                  f"to {frame['event_time'].max():%Y-%m-%d}, {frame['y'].mean():.1%} won, mean profit "
                  f"{frame['forward_return'].mean():+.4%}; {len(found.data.names)} features")
    areas = Table(title="AUC")
    for column in ("family", "in sample", "walk-forward"):
        areas.add_column(column)
    for family in line.search.families:
        areas.add_row(family, *(f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in honest(
            line, found, family).values()))
    console.print(areas)
    console.print(f"[bold]{found.verdict.outcome.value}[/] ({found.best.family}, the best of {found.verdict.trials} "
                  "trials): " + " ".join(sentences(found.verdict)), soft_wrap=True)
    decided = Table(title=f"TAKE or SKIP on {len(found.evidence)} trades of the evidence days; thresholds "
                          + ", ".join(f"{value:.3f}" for value in found.evidence["threshold"].unique()))
    for column in ("rule", "figure", "estimate", "95 % interval"):
        decided.add_column(column)
    for (rule, figure), row in take.table(found.evidence, line.search.seed).iterrows():
        decided.add_row(str(rule), str(figure), f"{row['estimate']:.4f}", f"[{row['low']:.4f}, {row['high']:.4f}]")
    console.print(decided)


if __name__ == "__main__":
    typer.run(main)
