"""Hansen's test over 20 contenders and 504 periods with 1,000 resamples, beside arch. Every call has another seed, so
that ours draws its resamples anew, too; with a seed seen before it does not have to."""

from __future__ import annotations

from itertools import count

import numpy as np
import pandas as pd

from pipelines.validation.significance import spa_of_gains
from pipelines.validation.significance.superior import reference_spa
from tests.bench.harness import Case

PERIODS, CONTENDERS, BLOCK = 504, 20, 8
#: four standard errors of the difference of two p-values from 1,000 resamples each
NOISE = 4 * np.sqrt(2 * 0.25 / 1000)


def cases() -> list[Case]:
    generator = np.random.default_rng(0)
    values = generator.normal(0.02, 1, (PERIODS, CONTENDERS)) + generator.normal(0, 0.5, (PERIODS, 1))
    index = pd.date_range("2024-01-01", periods=PERIODS, freq="h", tz="UTC")
    gained = pd.DataFrame(values, index, [f"trial {number}" for number in range(CONTENDERS)])
    ours, peers = count(), count()
    return [Case("spa_vs_arch", lambda: spa_of_gains(gained, block=BLOCK, seed=next(ours)).p_value,
                 lambda: reference_spa(gained, block=BLOCK, seed=next(peers))[1], 1, "tests",
                 lambda one, other: abs(one - other) <= NOISE)]
