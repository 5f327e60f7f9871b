"""Boundaries for looking at growing data several times without raising the false alarm rate.

At look ``k`` a share ``t_k`` of the planned information is in, and the statistic ``Z_k`` behaves like ``W(t_k) /
sqrt(t_k)`` of a Brownian motion with drift (Jennison and Turnbull 2000, section 3.1). Crossing probabilities follow by
integrating the density of the paths that are still under way from look to look (`recursion`).

References:
    C. Jennison and B. W. Turnbull, *Group Sequential Methods with Applications to Clinical Trials*, 2000.
    P. C. O'Brien and T. R. Fleming, *Biometrics* 35(3), 1979, 549-556. S. J. Pocock, *Biometrika* 64(2), 1977, 191-199.
    K. K. G. Lan and D. L. DeMets, "Discrete sequential boundaries for clinical trials", *Biometrika* 70(3), 1983,
    659-663. I. K. Hwang, W. J. Shih and J. S. DeCani, *Statistics in Medicine* 9(12), 1990, 1439-1445.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, stats

from pipelines.errors import ContractError
from pipelines.validation.significance.recursion import Paths, crossing, z_for_probability

Shape = Literal["obrien_fleming", "pocock"]
#: share of the information → error spent until then, as a share of the whole error's level
Spending = Callable[[float, float], float]


@dataclass(frozen=True)
class Boundary:
    """At look ``k``: promote where ``Z_k >= efficacy[k]``; where two-sided, also stop where ``Z_k <= -efficacy[k]``;
    where there is futility, give up where ``Z_k < futility[k]``.

    Attributes:
        information: share of the planned information at each look, ascending.
        efficacy: critical values of the standardised statistic.
        spent: false alarm probability up to and with each look, both sides together.
        two_sided: whether the lower side counts as a finding, too.
        futility: lower values or None; not binding: ignoring them does not raise the false alarm rate.
        drift: expected ``Z`` at full information for which ``futility`` has the promised power; NaN without.
    """

    information: tuple[float, ...]
    efficacy: tuple[float, ...]
    spent: tuple[float, ...]
    two_sided: bool
    futility: tuple[float, ...] | None = None
    drift: float = float("nan")


def obrien_fleming_spending(share: float, alpha: float) -> float:
    """Lan and DeMets' ``2 - 2 Phi(z_(alpha/2) / sqrt(t))``: nearly nothing early."""
    return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(share)))


def pocock_spending(share: float, alpha: float) -> float:
    """Lan and DeMets' ``alpha log(1 + (e - 1) t)``: nearly even."""
    return float(alpha * np.log1p((np.e - 1) * share))


def hwang_shih_decani(gamma: float) -> Spending:
    """``alpha (1 - exp(-gamma t)) / (1 - exp(-gamma))``; -4 is near O'Brien-Fleming, 1 near Pocock, 0 linear."""
    def spending(share: float, alpha: float) -> float:
        return alpha * share if gamma == 0 else alpha * float(np.expm1(-gamma * share) / np.expm1(-gamma))
    return spending


SPENDINGS: dict[str, Spending] = {"obrien_fleming": obrien_fleming_spending, "pocock": pocock_spending}


def constant_boundary(shape: Shape, information: int | Sequence[float], alpha: float,
                      two_sided: bool = False) -> Boundary:
    """The classical boundaries: ``C / sqrt(t_k)`` (O'Brien-Fleming) or ``C`` (Pocock), C found for the level.

    All looks have to be known beforehand; where they are not, use `spending_boundary`.

    Args:
        shape: which of the two.
        information: number of equal looks, or the share of information at each, the last of which is 1.
        alpha: probability of any crossing without drift, both sides together.
        two_sided: both signs are findings.

    Raises:
        ContractError: shares that do not ascend within (0, 1] to 1, or a level outside (0, 0.5).
    """
    shares = _shares(information, alpha)
    if shares[-1] != 1:
        raise ContractError(f"the last look is at {shares[-1]:g} of the information; a fixed shape needs all to 1")
    if shape not in SPENDINGS:
        raise ContractError(f"no shape {shape!r}; choose one of {sorted(SPENDINGS)}")
    form = 1 / np.sqrt(shares) if shape == "obrien_fleming" else np.ones(len(shares))

    def excess(constant: float) -> float:
        return float(_alarms(shares, constant * form, two_sided).sum()) - alpha

    constant = float(optimize.brentq(excess, stats.norm.isf(alpha) * 0.5, 12.0, xtol=1e-10))
    efficacy = constant * form
    spent = np.cumsum(_alarms(shares, efficacy, two_sided))
    return Boundary(tuple(shares.tolist()), tuple(efficacy.tolist()), tuple(spent.tolist()), two_sided)


def spending_boundary(information: int | Sequence[float], alpha: float, spending: Shape | Spending = "obrien_fleming",
                      two_sided: bool = False) -> Boundary:
    """Boundary by error spending: look ``k`` depends on the looks before it only, so that their times may be chosen
    as the data come, as long as the choice does not depend on the statistic.

    Args:
        information: number of equal looks, or ascending shares in (0, 1]; they may end before 1 (looks so far).
        alpha: probability of any crossing without drift, both sides together, at full information.
        spending: the two of Lan and DeMets by name, or a function of (share, level).
        two_sided: both signs are findings; each side spends half.

    Raises:
        ContractError: shares out of order, a level outside (0, 0.5), a spending function that does not ascend.
    """
    shares = _shares(information, alpha)
    side = alpha / 2 if two_sided else alpha
    steps = _increments(_spending(spending), shares, side)
    paths = Paths(0.0)
    efficacy: list[float] = []
    spent: list[float] = []
    for share, step in zip(shares, steps, strict=True):
        bound = z_for_probability(paths, share, step, upper=True)
        efficacy.append(bound)
        spent.append((spent[-1] if spent else 0.0) + step * (2 if two_sided else 1))
        paths = paths.advance(share, -bound if two_sided else -np.inf, bound)
    return Boundary(tuple(shares.tolist()), tuple(efficacy), tuple(float(value) for value in spent), two_sided)


def with_futility(boundary: Boundary, power: float, spending: Shape | Spending = "pocock") -> Boundary:
    """Add a non-binding futility boundary that spends ``1 - power`` under the drift which just gives that power.

    The drift is such that both boundaries meet at the last look: a run always ends in a decision there.

    Args:
        boundary: one-sided, its looks to full information.
        power: probability of crossing the efficacy boundary under the drift, in (0.5, 1).
        spending: of the error of the second kind.

    Raises:
        ContractError: a two-sided boundary, looks that end early, or a power outside (0.5, 1).
    """
    if boundary.two_sided or boundary.information[-1] != 1:
        raise ContractError("futility needs a one-sided boundary with looks to full information (share 1)")
    if not 0.5 < power < 1:
        raise ContractError(f"power is {power}; it lies between 0.5 and 1")
    steps = _increments(_spending(spending), np.array(boundary.information), 1 - power)

    def bounds(drift: float) -> tuple[list[float], float]:
        """Futility values, and by how much the last one misses the efficacy value."""
        paths, found = Paths(drift), []
        for share, step, upper in zip(boundary.information, steps, boundary.efficacy, strict=True):
            found.append(z_for_probability(paths, share, step, upper=False))
            paths = paths.advance(share, min(found[-1], upper), upper)
        return found, found[-1] - boundary.efficacy[-1]

    least = boundary.efficacy[-1] + float(stats.norm.ppf(power)) - 0.5
    drift = float(optimize.brentq(lambda value: bounds(value)[1], max(least, 0.1), least + 6.0, xtol=1e-9))
    lower = [min(low, high) for low, high in zip(bounds(drift)[0], boundary.efficacy, strict=True)]
    lower[-1] = boundary.efficacy[-1]
    return Boundary(boundary.information, boundary.efficacy, boundary.spent, False, tuple(lower), drift)


def crossing_probabilities(boundary: Boundary, drift: float,
                           heed_futility: bool = True) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Probability of first crossing the efficacy boundary, and the lower one, at each look.

    Args:
        drift: expected ``Z`` at full information; 0 gives the false alarms, other values the power.
        heed_futility: stop where the futility boundary says so.
    """
    if boundary.two_sided:
        lower = [-value for value in boundary.efficacy]
    elif boundary.futility is not None and heed_futility:
        lower = list(boundary.futility)
    else:
        lower = [-np.inf] * len(boundary.efficacy)
    up, down = crossing(np.array(boundary.information), np.array(lower), np.array(boundary.efficacy), drift)
    return tuple(up.tolist()), tuple(down.tolist())


def _alarms(shares: np.ndarray, efficacy: np.ndarray, two_sided: bool) -> np.ndarray:
    lower = -efficacy if two_sided else np.full(len(efficacy), -np.inf)
    up, down = crossing(shares, lower, efficacy, 0.0)
    return np.asarray(up + down if two_sided else up)


def _spending(spending: Shape | Spending) -> Spending:
    if callable(spending):
        return spending
    if spending not in SPENDINGS:
        raise ContractError(f"no spending {spending!r}; choose one of {sorted(SPENDINGS)} or pass a function")
    return SPENDINGS[spending]


def _increments(spending: Spending, shares: np.ndarray, level: float) -> np.ndarray:
    spent = np.array([spending(float(share), level) for share in shares])
    steps = np.diff(spent, prepend=0.0)
    if (steps < 0).any() or spent[-1] > level * (1 + 1e-9):
        raise ContractError(f"the spending function gives {spent.tolist()}; it has to ascend from 0 to {level:g}")
    return np.asarray(steps)


def _shares(information: int | Sequence[float], alpha: float) -> np.ndarray:
    if not 0 < alpha < 0.5:
        raise ContractError(f"alpha is {alpha}; a level lies between 0 and 0.5")
    if isinstance(information, int):
        if information < 1:
            raise ContractError(f"{information} looks; plan at least 1")
        return np.arange(1, information + 1) / information
    shares = np.asarray(information, dtype=np.float64)
    if shares.ndim != 1 or not len(shares) or not (np.diff(shares, prepend=0.0) > 0).all() or shares[-1] > 1:
        raise ContractError(f"shares of information {shares.tolist()} do not ascend within (0, 1]")
    return shares
