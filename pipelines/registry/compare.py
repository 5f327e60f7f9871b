"""Trainings side by side: their figures, whether the difference is more than luck, and what that speaks for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.errors import InsufficientData, RegistryError
from pipelines.registry.client import ModelRegistry, Run
from pipelines.store import Warehouse, ledger, snapshots
from pipelines.validation import metrics
from pipelines.validation.significance.forecast import mean_gain

#: What the figures of two trainings have to share to mean the same: parameters of their runs.
SAME = ("interval", "target.kind", "target.horizon_bars", "target.median_bars")
#: And for labels of barriers.
BARRIERS = ("target.upper", "target.lower", "target.volatility_bars", "target.timeout", "target.side",
            "target.side_bars")
LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """Two runs on the rows that both have predicted.

    Attributes:
        better, worse: names of the runs; ``effect`` is the mean log loss (nats) that the better one saves per time,
            ``low`` and ``high`` its two-sided interval, at 95 % over all pairs together (Bonferroni).
        p_value: two-sided, multiplied by the number of pairs.
        minimum_detectable: the difference that this many periods would have shown with 80 % power.
        rows, periods: common rows and distinct times; ``relabelled`` rows were left out because a later correction
            gave them another label.
    """

    better: str
    worse: str
    effect: float
    low: float
    high: float
    p_value: float
    minimum_detectable: float
    rows: int
    periods: int
    relabelled: int

    @property
    def seen(self) -> bool:
        """More than luck, at 5 % over all pairs."""
        return self.p_value <= LEVEL


@dataclass(frozen=True)
class Comparison:
    """``metrics``: figure → run → value (None: the run does not have it); ``families``: run → model family."""

    line: str
    runs: tuple[str, ...]
    families: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, float | None]]
    pairs: tuple[Pair, ...]
    recommendation: str


def compare(warehouse: Warehouse, settings: Settings, line: Line, runs: Mapping[str, str]) -> Comparison:
    """Compare trainings of one line on the rows that they have all predicted out of sample.

    Args:
        runs: name → MLflow run id, at least two different ones.

    Raises:
        RegistryError: fewer than two runs, a run that is no finished training, or runs that predict different things.
        StoreError, IntegrityError: an evidence snapshot is missing or damaged. TrackingUnavailable
    """
    if len(runs) < 2 or len(set(runs.values())) < len(runs):
        raise RegistryError("name at least two different runs to compare")
    registry = ModelRegistry(settings)
    found = {name: registry.run(run_id) for name, run_id in runs.items()}
    refuse(line, found)
    evidence = {name: snapshots.get(warehouse, run.tags[tags.EVIDENCE]) for name, run in found.items()}
    pairs = judge(evidence, line.target.horizon_bars - 1)
    shown = sorted({name for run in found.values() for name in run.metrics
                    if name.startswith(("evidence.", "net.", "data.evidence"))})
    return Comparison(
        line.name, tuple(found), {name: run.tags.get(tags.FAMILY, "unknown") for name, run in found.items()},
        {figure: {name: run.metrics.get(figure) for name, run in found.items()} for figure in shown}, tuple(pairs),
        recommend(pairs, evidence))


def resolve(warehouse: Warehouse, settings: Settings, lines: Mapping[str, Line],
            names: Sequence[str]) -> tuple[Line, dict[str, str]]:
    """The line of these runs, and name → run id. A name is an MLflow run id or ``LINE@VERSION``.

    Raises:
        RegistryError: an unknown run or version, or runs of different lines.
    """
    runs, owners = {}, {}
    for name in names:
        owner, at, version = name.partition("@")
        if at:
            with warehouse.begin() as connection:
                runs[name] = ledger.candidate(connection, owner, _version(name, version)).run_id
        else:
            runs[name], owner = name, ModelRegistry(settings).run(name).tags.get(tags.LINE, "none")
        owners[name] = owner
    if len(set(owners.values())) > 1:
        raise RegistryError(f"these are runs of different lines ({', '.join(sorted(set(owners.values())))}): their "
                            "losses are of different outcomes; compare runs of one line")
    owner = next(iter(owners.values()))
    if owner not in lines:
        raise RegistryError(f"there is no line {owner!r} (any more); there are: {', '.join(lines)}")
    return lines[owner], runs


def _version(name: str, text: str) -> int:
    if not text.isdecimal():
        raise RegistryError(f"{name!r} is neither a run id nor LINE@VERSION, like direction_1h@3")
    return int(text)


def refuse(line: Line, runs: Mapping[str, Run]) -> None:
    """Stop before figures of different things stand side by side.

    Raises:
        RegistryError: see :func:`compare`.
    """
    for name, run in runs.items():
        if run.tags.get(tags.LINE) != line.name:
            raise RegistryError(f"run {name} is of line {run.tags.get(tags.LINE, 'none')}, not of {line.name}; compare "
                                "runs of one line")
        if run.tags.get(tags.KIND) != "training" or tags.EVIDENCE not in run.tags:
            raise RegistryError(f"run {name} is a {run.tags.get(tags.KIND, 'run')} in state {run.status} without "
                                "evidence; only trainings that were concluded can be compared")
    for key in (*SAME, *(BARRIERS if line.target.on_barriers else ())):
        values = {name: run.params.get(key) for name, run in runs.items()}
        if len(set(values.values())) > 1:
            told = ", ".join(f"{name} {value}" for name, value in values.items())
            raise RegistryError(f"the runs predict different things ({key}: {told}); compare runs of one target")


def judge(evidence: Mapping[str, pd.DataFrame], overlap: int = 0) -> list[Pair]:
    """Every pair of runs, the better one first; pairs with too few common periods are left out.

    The differences of loss are averaged over symbols at each time and tested as the gate does
    (``significance.forecast.mean_gain``). Which of two is better is seen in the same rows, so the test is two-sided;
    with several pairs its level is shared among them (Bonferroni 1936), which holds whichever run is then picked.

    Args:
        evidence: run → frame of ``EVIDENCE_COLUMNS``.
        overlap: over how many following periods a label still reaches (horizon - 1).
    """
    pairs = []
    count = len(evidence) * (len(evidence) - 1) // 2
    for (one, left), (other, right) in itertools.combinations(evidence.items(), 2):
        both = left.merge(right, on=["symbol", "event_time"], suffixes=("", "_other"))
        same = both[both["y"] == both["y_other"]]
        if same.empty:
            continue
        saved = pd.Series(metrics.losses(same["y"], same["candidate_other"])
                          - metrics.losses(same["y"], same["candidate"])).groupby(
            same["event_time"].to_numpy()).mean().sort_index()
        level = LEVEL / (2 * count)
        try:
            test = mean_gain(saved, overlap=overlap, alpha=level)
        except InsufficientData:
            continue
        better, worse = one, other
        if test.effect < 0:
            test, better, worse = mean_gain(-saved, overlap=overlap, alpha=level), other, one
        half = test.error * float(stats.t.ppf(1 - level, test.freedom)) if test.freedom else 0.0
        pairs.append(Pair(better, worse, test.effect, test.effect - half, test.effect + half,
                          min(1.0, 2 * count * test.p_value), test.minimum_detectable, len(same), len(saved),
                          len(both) - len(same)))
    return pairs


def recommend(pairs: Sequence[Pair], evidence: Mapping[str, pd.DataFrame]) -> str:
    """What the pairs speak for, in words."""
    names = list(evidence)
    if len(pairs) < len(names) * (len(names) - 1) // 2:
        spans = "; ".join(f"{name} {_time(frame['event_time'].min())} to {_time(frame['event_time'].max())}"
                          for name, frame in evidence.items())
        return (f"No recommendation: the runs have too few out-of-sample rows in common ({spans}, UTC). Train them as "
                "of the same time.")
    if all(pair.effect == pair.low == pair.high == 0 for pair in pairs):
        return f"They predict the same: no loss differs on {min(pair.rows for pair in pairs)} common rows."
    for name in names:
        won = [pair for pair in pairs if pair.better == name and pair.seen]
        if len(won) == len(names) - 1:
            closest = min(won, key=lambda pair: pair.effect)
            rivals = f"{closest.worse}, the closest rival," if len(won) > 1 else closest.worse
            return (f"Prefer {name}: on {closest.rows} common rows it saves {closest.effect:.5f} nats per prediction "
                    f"against {rivals} (95 % interval {closest.low:.5f} to {closest.high:.5f}, p = "
                    f"{closest.p_value:.2g}).")
    worst = {pair.worse for pair in pairs if pair.seen}
    ruled_out = f" {', '.join(sorted(worst))} can be ruled out: another run is better." if worst else ""
    open_pairs = [pair for pair in pairs if not pair.seen and not worst & {pair.better, pair.worse}]
    largest = max(open_pairs or [pair for pair in pairs if not pair.seen] or pairs,
                  key=lambda pair: pair.minimum_detectable)
    return (f"No difference could be seen between {largest.better} and {largest.worse} on {largest.rows} "
            f"common rows: {largest.effect:.5f} nats (95 % interval {largest.low:.5f} to "
            f"{largest.high:.5f}); the smallest detectable difference is {largest.minimum_detectable:.5f}."
            f"{ruled_out} Keep what is in production, or wait for more outcomes.")


def _time(at: pd.Timestamp) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
