"""qlib at work, in its own environment (``make qlib-env``): a process that does what it is told line by line.

It reads JSON requests from standard input and answers each with one line of JSON on the channel that was standard
output; what qlib prints goes to standard error. Started once, so that neither start nor imports are in any time.
Nothing of the project is imported here: its environment is another one.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import qlib
from fits import Fits
from qlib.contrib.data.loader import Alpha158DL
from qlib.data import D
from qlib.data.cache import H
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from qlib.model.trainer import task_train

FREQUENCY = "60min"


class Peer:
    """One method per request."""

    def __init__(self) -> None:
        self.found: Any = None
        self.tasks: list[dict[str, Any]] = []
        self.fits = Fits()

    def store(self, bars: str, home: str) -> None:
        """Write bars (npz: open, high, low, close, volume, vwap of shape (hours, symbols)) as qlib stores them, and
        start qlib on them: one process, no disk cache."""
        values = dict(np.load(bars))
        hours, symbols = values["close"].shape
        times = pd.date_range("2022-01-01", periods=hours, freq="h").strftime("%Y-%m-%d %H:%M:%S")
        for name in ("calendars", "instruments"):
            Path(home, name).mkdir(parents=True)
        Path(home, "calendars", f"{FREQUENCY}.txt").write_text("\n".join(times) + "\n", encoding="utf-8")
        names = [f"s{number:04d}" for number in range(symbols)]
        Path(home, "instruments", "all.txt").write_text(
            "".join(f"{name.upper()}\t{times[0]}\t{times[-1]}\n" for name in names), encoding="utf-8")
        for column, name in enumerate(names):
            folder = Path(home, "features", name)
            folder.mkdir(parents=True)
            for field, of_field in values.items():
                np.concatenate([[0.0], of_field[:, column]]).astype("<f4").tofile(folder / f"{field}.{FREQUENCY}.bin")
        qlib.init(provider_uri=home, region="us", kernels=1, expression_cache=None, dataset_cache=None,
                  logging_level=40)

    def forget(self) -> None:
        """Empty qlib's cache in memory."""
        H.clear()

    def features(self) -> None:
        """Alpha158's 158 expressions over all bars, by qlib's expression engine."""
        fields, _ = Alpha158DL.get_feature_config()
        self.found = D.features(D.instruments("all"), fields, freq=FREQUENCY, disk_cache=0)

    def save(self, path: str) -> None:
        """What was found last: ``values`` (rows, 158) float32, symbol by symbol, and ``names``."""
        np.savez(path, values=self.found.to_numpy()[:, :158], names=np.array(Alpha158DL.get_feature_config()[1]))

    def walk(self, matrix: str, spans: list[list[str]], rows: list[list[int]], rounds: int,
             params: dict[str, Any]) -> None:
        """Make a task for each fold of a walk over a matrix (npz: features, labels, times, symbols), run them once and
        take their fits down.

        Args:
            spans: first and last time of each fold's training and test rows; rows: how many there are.
        """
        given = np.load(matrix)
        keys = pd.MultiIndex.from_arrays([given["times"], given["symbols"]], names=["datetime", "instrument"])
        names = [f"f{number}" for number in range(given["features"].shape[1])]
        frame = pd.DataFrame(given["features"], index=keys, columns=pd.MultiIndex.from_product([["feature"], names]))
        frame["label", "LABEL0"] = given["labels"]
        home = Path(matrix).parent
        qlib.init(provider_uri=str(home), region="us", kernels=1, expression_cache=None, dataset_cache=None,
                  logging_level=40, exp_manager={
                      "class": "MLflowExpManager", "module_path": "qlib.workflow.expm",
                      "kwargs": {"uri": f"file:{home / 'mlruns'}", "default_exp_name": "bench"}})
        handler = DataHandlerLP(data_loader=StaticDataLoader(config=frame))
        handler.config(dump_all=True)
        handler.to_pickle(home / "handler.pkl")
        for (begin, end, test_begin, test_end), counts in zip(spans, rows, strict=True):
            segments = {"train": (begin, end), "test": (test_begin, test_end)}
            for (first, last), count in zip(segments.values(), counts, strict=True):
                found = len(handler.fetch(slice(first, last)))
                if found != count:
                    raise ValueError(f"{found} rows of {first} to {last}, not {count}")
            self.tasks.append({
                "model": {"class": "LGBModel", "module_path": "qlib.contrib.model.gbdt",
                          "kwargs": {"loss": "binary", "num_boost_round": rounds, **params}},
                "dataset": {"class": "DatasetH", "module_path": "qlib.data.dataset",
                            "kwargs": {"handler": f"file://{home / 'handler.pkl'}", "segments": segments}},
                "record": [{"class": "SignalRecord", "module_path": "qlib.workflow.record_temp",
                            "kwargs": {"model": "<MODEL>", "dataset": "<DATASET>"}}]})
        with self.fits.taken_down():
            self.train()

    def train(self) -> None:
        """The whole walk by qlib's workflow."""
        for task in self.tasks:
            task_train(task, experiment_name="bench")

    def bare(self) -> None:
        """The fits that it contains, alone, without the losses on the training rows that it notes after each round."""
        self.found = self.fits.again(without=("valid_sets", "valid_names", "callbacks"))

    def same(self) -> bool:
        """Whether they gave the models of the workflow."""
        return self.fits.same(self.found)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(peer, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
