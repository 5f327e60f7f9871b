"""What can be forecast, and what is it worth after costs? Long walk-forwards on the simulator and on real coins.

    python -m infra.studies.forecasts simulator
    python -m infra.studies.forecasts coins --data ../shared/data --manifest tests/data/shared.toml

Every family with its default parameters, never searched, so that nothing was chosen on what it is judged by. AUC
intervals (95 %) resample whole days, with all hours and symbols of a day together: neighbours are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from infra.studies import scratch
from pipelines import config
from pipelines.contracts.line import Line, load_lines
from pipelines.contracts.window import Window
from pipelines.features import snapshot
from pipelines.ingest import providers, simulator
from pipelines.store import Warehouse
from pipelines.training import families, fit, leaderboard, measure
from pipelines.validation import WalkForward, backtest, metrics
from pipelines.validation.significance.forecast import mean_gain

FAMILIES = "logistic_regression,random_forest,lightgbm"
DRAWS = 500
WIDTH = 150
app = typer.Typer(add_completion=False)
Families = Annotated[str, typer.Option(help="Families to walk, separated by commas.")]
Groups = Annotated[str, typer.Option(help="Feature groups instead of the line's, separated by commas.")]


@app.command("simulator")
def simulated(days: Annotated[int, typer.Option()] = 400, chosen: Families = FAMILIES) -> None:
    """Is a planted edge found in its strength, and nothing where nothing was planted?"""
    console, line = Console(width=WIDTH), load_lines(config.load().lines_dir)["direction_1h"]
    for edge in (0.0, 0.5, 1.0):
        settings = config.load()
        world = settings.simulator.model_copy(update={"edge": edge, "days": days, "shift_day": None})
        settings = settings.model_copy(update={"source": "simulator", "simulator": world})
        end = world.start + timedelta(days=days - 1)
        with scratch.warehouse() as store, console.status(f"simulating an edge of {edge}"):
            scratch.load(store, providers.create("simulator", settings), Window(world.start, end), at=end)
            found = walk(store, line, end, days - 30, _split(chosen), train_days=90, test_days=30)
        truth = simulator.Market(world).truth
        begins = found["event_time"].min() + line.bar
        show(console, f"Simulator, edge {edge}: the sign of the next hour; who reads the true signal can expect an AUC "
             f"of {truth.expected_auc(begins.to_pydatetime(), end):.4f}", line, found, _split(chosen))


@app.command()
def coins(
    data: Annotated[Path, typer.Option()],
    manifest: Annotated[Path, typer.Option()] = Path("tests/data/shared.toml"),
    chosen: Families = FAMILIES,
    groups: Groups = "",
) -> None:
    """The shipped targets on five real coins, 2020-10 to 2022-06, from bars alone."""
    console, settings = Console(width=WIDTH), config.load()
    settings = settings.model_copy(update={"source": "files", "data_dir": data, "manifest": manifest})
    start, end = datetime(2020, 10, 23, tzinfo=UTC), datetime(2022, 7, 1, tzinfo=UTC)
    lines = load_lines(config.load().lines_dir)
    with scratch.warehouse() as store:
        with console.status("loading bars"):
            scratch.load(store, providers.create("files", settings), Window(start, end), texts=False, at=end)
        for name, wanted in (("direction_1h", "returns,trend,volatility,time"),
                             ("volatility_24h", "returns,trend,volatility,time")):
            line = lines[name].model_copy(update={"features": lines[name].features.model_copy(
                update={"groups": _split(groups or wanted)}), "symbols": (
                    "BTCUSDT", "ETHUSDT", "SOLUSDT", "ADAUSDT", "XRPUSDT")})
            with console.status(f"walking {name}"):
                found = walk(store, line, end, (end - start).days - 35, _split(chosen), train_days=180, test_days=30)
            show(console, f"Real coins, {name}: {line.title}", line, found, _split(chosen))
            bitcoin = found[found["symbol"] == "BTCUSDT"].reset_index(drop=True)
            show(console, f"The same, BTCUSDT alone (models of all five coins), {name}", line, bitcoin, _split(chosen))


def walk(store: Warehouse, line: Line, end: datetime, days: int, chosen: Sequence[str], *, train_days: int,
         test_days: int) -> pd.DataFrame:
    """Out-of-sample predictions of each family (columns by its name) over the last ``days`` before ``end``, less the
    first training window."""
    line = line.model_copy(update={"walk_forward": line.walk_forward.model_copy(update={
        "evidence_days": days, "train_days": 2, "search_folds": 0})})
    _, frame = snapshot.matrix(store, line, end)
    data = fit.matrix(frame)
    folds = list(WalkForward(
        train=timedelta(days=train_days), test=timedelta(days=test_days), folds=(days - train_days) // test_days,
        embargo=line.bar * line.walk_forward.embargo_bars).split(frame["event_time"], frame["label_end"]))
    found: pd.DataFrame | None = None
    for name in chosen:
        walked = fit.out_of_sample(data, folds, name, families.get(name).defaults, line.search.seed)
        found = walked if found is None else found
        found[name] = walked["candidate"]
    assert found is not None
    return found


def show(console: Console, title: str, line: Line, found: pd.DataFrame, chosen: Sequence[str]) -> None:
    """A row per family and naive forecast: AUC, log loss saved, and after costs; each with its interval."""
    span = f"{found['event_time'].min():%Y-%m-%d} to {found['event_time'].max():%Y-%m-%d}"
    table = Table(title=f"{title}\n{len(found):,} rows of {found['symbol'].nunique()} symbols, {span}",
                  title_justify="left")
    for column in ("forecast", "AUC", "nats saved against the base rate", "accuracy", "net return a year",
                   "Sharpe, annualised"):
        table.add_column(column)
    base = metrics.losses(found["y"], found["base_rate"])
    for name in (*chosen, "persistence"):
        low, auc, high = auc_interval(found, name)
        saved = pd.Series(base - metrics.losses(found["y"], found[name])).groupby(
            found["event_time"].to_numpy()).mean().sort_index()
        test = mean_gain(saved, overlap=line.target.horizon_bars - 1)
        scores = metrics.classification(found["y"], found[name])
        table.add_row(name, f"{auc:.4f} ({low:.4f} to {high:.4f})",
                      f"{test.effect:+.5f} ({test.low:+.5f} to {test.high:+.5f})", f"{scores['accuracy']:.3f}",
                      *_money(line, found, name))
    console.print(table)
    board = leaderboard.rank({name: found[name] for name in (*chosen, leaderboard.BASE)}, found["y"],
                             found["event_time"], title=title, seed=line.search.seed)
    console.print(board.recommendation, "\n")


def _money(line: Line, found: pd.DataFrame, name: str) -> tuple[str, str]:
    if not measure.tradable(line, found):
        return "not traded", ""
    book = measure.book(line, found, name)
    figures = backtest.intervals(book, reps=300, seed=line.search.seed)
    years = (found["event_time"].max() - found["event_time"].min()) / timedelta(days=365)
    sharpe = figures.loc["sharpe_annualised"]
    return (f"{book['net'].sum() / years:+.2f}",
            f"{sharpe['estimate']:+.2f} ({sharpe['low']:+.2f} to {sharpe['high']:+.2f})")


def auc_interval(found: pd.DataFrame, name: str, seed: int = 0) -> tuple[float, float, float]:
    """Low, estimate and high of the AUC; days are drawn with replacement."""
    day = found["event_time"].dt.floor("D").factorize()[0]
    y, (values, place) = found["y"].to_numpy(), np.unique(found[name], return_inverse=True)
    generator, drawn = np.random.default_rng(seed), []
    for draw in range(DRAWS + 1):
        count = day.max() + 1
        weight = np.ones(count) if draw == 0 else np.bincount(generator.integers(0, count, count), minlength=count)
        rows = weight[day]
        up, down = (np.bincount(place, weights=rows * side, minlength=len(values)) for side in (y, 1 - y))
        below = np.cumsum(down) - down
        drawn.append(float((up * (below + down / 2)).sum() / (up.sum() * down.sum())))
    low, high = np.quantile(drawn[1:], (0.025, 0.975))
    return float(low), drawn[0], float(high)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


if __name__ == "__main__":
    app()
