"""One p-value from two stages: days on which a candidate was chosen among many, and days that nobody had seen.

The second stage alone needs no correction for the choice, but wastes what the first has shown; both together see more,
but after a change of regime the first stage speaks of a time that is gone. So two statistics are made, the fresh days'
``z`` and the inverse-normal combination ``sqrt(w) z_fresh + sqrt(1 - w) z_search`` with ``w`` fixed beforehand, and
the greater one counts; its distribution is known, because under the null the two stages are independent, standard
normal (or below it), and the statistics bivariate normal with correlation ``sqrt(w)``.

References:
    W. Lehmacher and G. Wassmer, "Adaptive Sample Size Calculations in Group Sequential Trials", *Biometrics* 55(4),
    1999, 1286-1290: the inverse-normal combination of stages.
    P. Bauer and M. Kieser, "Combining Different Phases in the Development of Medical Treatments within a Single
    Trial", *Statistics in Medicine* 18, 1999, 1833-1848: choosing the treatment between the stages.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri

from pipelines.errors import ContractError

WEIGHT = 0.5
#: z values beyond this are all the same certainty, and a p-value of exactly 0 or 1 has none
_FAR = 8.0
#: Gauss-Legendre on [-1, 1]; the integrand is smooth, and 64 nodes agree with adaptive quadrature to 1e-12
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def two_stage(p_fresh: float, p_search: float, weight: float = WEIGHT) -> float:
    """P-value of "not better" over both stages.

    Args:
        p_fresh: one-sided, of the chosen candidate on days that had no part in the choice.
        p_search: one-sided, of the best of all that was tried on the days of the choice, corrected for their number.
        weight: share of the fresh days in the combination, in (0, 1); fixed before looking.

    Raises:
        ContractError: a value that is no probability, or a weight outside (0, 1).
    """
    if not (0 <= p_fresh <= 1 and 0 <= p_search <= 1):
        raise ContractError(f"p-values {p_fresh} and {p_search} are not both in [0, 1]; pass one-sided p-values")
    if not 0 < weight < 1:
        raise ContractError(f"weight is {weight}; the share of the fresh days lies between 0 and 1")
    fresh, search = (max(-_FAR, min(_FAR, float(-ndtri(p)))) for p in (p_fresh, p_search))
    a, b = math.sqrt(weight), math.sqrt(1 - weight)
    greatest = max(fresh, a * fresh + b * search)
    # 1 - P(Z1 <= m, a Z1 + b Z2 <= m), with the first written as a tail so that tiny p-values keep their digits
    half = (greatest + _FAR) / 2
    z = -_FAR + half * (_NODES + 1)
    inside = half * float(_WEIGHTS @ (np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * ndtr(-(greatest - a * z) / b)))
    return float(min(1.0, ndtr(-greatest) + inside))


def for_untold(p_value: float, tried: int, told: int) -> float:
    """A p-value over ``told`` contenders, made valid for ``tried`` of which the rest were dropped half-way (Šidák 1967,
    as if the contenders were independent: on the safe side)."""
    if told < 1 or tried < told:
        raise ContractError(f"{told} of {tried} contenders were tested; count them again")
    return float(1 - (1 - p_value) ** (tried / told))
