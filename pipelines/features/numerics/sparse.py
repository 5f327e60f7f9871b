"""Sparse coding: the lasso by coordinate descent, and a dictionary that is learned by K-SVD.

Everything runs a fixed number of steps from a fixed start, one window at a time, in scalar loops: no randomness, no
convergence test that rounding could flip, no matrix products whose order of adding depends on what else is computed.
"""

from __future__ import annotations

import math

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.numerics.jit import kernel


def cosines(length: int, atoms: int) -> FloatArray:
    """DCT-II vectors 1 to ``atoms`` of this length, (atoms, length), each of norm 1. The constant is left out."""
    angle = np.pi / length * (np.arange(length) + 0.5) * np.arange(1, atoms + 1)[:, None]
    return np.ascontiguousarray(math.sqrt(2.0 / length) * np.cos(angle))


@kernel
def _best(pull: float, own: float, penalty: float) -> float:
    """The value of one coordinate that is best while the others stay."""
    size = abs(pull) - penalty
    return math.copysign(size / own, pull) if size > 0.0 else 0.0


@kernel
def _move(correlation: FloatArray, gram: FloatArray, k: int, change: float) -> None:
    """What one coordinate's change does to the correlations."""
    for other in range(len(correlation)):
        correlation[other] -= change * gram[k, other]


@kernel
def lasso(correlation: FloatArray, gram: FloatArray, penalty: float, rounds: int, again: int, into: FloatArray) -> None:
    """Minimise |y - A x|² / 2 + ``penalty`` |x|_1 by coordinate descent from x = 0: ``rounds`` times over all atoms,
    each time followed by ``again`` times over those in use.

    Args:
        correlation: (atoms,), A'y; on return A'(y - A x).
        gram: (atoms, atoms), A'A.
        into: (atoms,), gets x.

    Source: R. Tibshirani, "Regression Shrinkage and Selection via the Lasso", JRSS B 58 (1996); the covariance updates
        and active sets of J. Friedman, T. Hastie & R. Tibshirani, Journal of Statistical Software 33 (2010), 2.2, 2.6.
    """
    atoms = len(correlation)
    active = np.empty(atoms, np.int64)
    own, pull, change = np.empty(atoms * atoms), np.empty(atoms), np.empty(atoms)
    into[:] = 0.0
    for _ in range(rounds):
        used = 0
        for k in range(atoms):
            old = into[k]
            if old == 0.0 and abs(correlation[k]) <= penalty:
                continue
            new = _best(correlation[k] + gram[k, k] * old, gram[k, k], penalty)
            if new != old:
                _move(correlation, gram, k, new - old)
                into[k] = new
            if new != 0.0:
                active[used] = k
                used += 1
        # Among the atoms in use, laid side by side; the others hear of all changes at once.
        for one in range(used):
            pull[one], change[one] = correlation[active[one]], 0.0
            for other in range(used):
                own[one * used + other] = gram[active[one], active[other]]
        for _ in range(again):
            for one in range(used):
                old, size = into[active[one]], own[one * used + one]
                new = _best(pull[one] + size * old, size, penalty)
                if new != old:
                    for other in range(used):
                        pull[other] -= (new - old) * own[one * used + other]
                    change[one] += new - old
                    into[active[one]] = new
        for one in range(used):
            if change[one] != 0.0:
                _move(correlation, gram, active[one], change[one])
        for one in range(used):
            correlation[active[one]] = pull[one]


@kernel
def pursue(signal: FloatArray, dictionary: FloatArray, nonzeros: int, coefficients: FloatArray,
           rest: FloatArray) -> None:
    """Orthogonal matching pursuit: the ``nonzeros`` atoms that explain ``signal`` best, one after the other.

    Args:
        signal: (length,). dictionary: (atoms, length), rows of length 1.
        coefficients: (atoms,), gets the least-squares coefficients of the chosen atoms, else 0.
        rest: (length,), gets what they leave of the signal.

    Source: Y.C. Pati, R. Rezaiifar & P.S. Krishnaprasad, Asilomar Conference 27 (1993); Gram-Schmidt.
    """
    atoms, length = dictionary.shape
    coefficients[:] = 0.0
    rest[:] = signal
    basis, triangle = np.empty((nonzeros, length)), np.zeros((nonzeros, nonzeros))
    onto, chosen = np.zeros(nonzeros), np.zeros(nonzeros, np.int64)
    used = 0
    for step in range(nonzeros):
        best, largest = -1, 1e-14
        for k in range(atoms):
            product = 0.0
            for i in range(length):
                product += dictionary[k, i] * rest[i]
            if abs(product) > largest:
                best, largest = k, abs(product)
        if best < 0:
            break
        new = basis[step]
        new[:] = dictionary[best]
        for before in range(step):
            product = 0.0
            for i in range(length):
                product += basis[before, i] * new[i]
            triangle[before, step] = product
            for i in range(length):
                new[i] -= product * basis[before, i]
        norm = 0.0
        for i in range(length):
            norm += new[i] * new[i]
        norm = math.sqrt(norm)
        if norm < 1e-8:  # all but a sum of the atoms before it
            break
        triangle[step, step] = norm
        product = 0.0
        for i in range(length):
            new[i] /= norm
            product += new[i] * rest[i]
        for i in range(length):
            rest[i] -= product * new[i]
        onto[step], chosen[step] = product, best
        used = step + 1
    for step in range(used - 1, -1, -1):
        value = onto[step]
        for later in range(step + 1, used):
            value -= triangle[step, later] * coefficients[chosen[later]]
        coefficients[chosen[step]] = value / triangle[step, step]


@kernel
def learn(signals: FloatArray, dictionary: FloatArray, nonzeros: int, rounds: int) -> None:
    """K-SVD: improve ``dictionary`` in place, so that few of its atoms make each of the signals.

    Each round codes all signals by ``pursue``, then improves each atom with its coefficients by one power step in
    place of the singular value decomposition.

    Args:
        signals: (signals, length). dictionary: (atoms, length), rows of length 1; the start.

    Source: M. Aharon, M. Elad & A. Bruckstein, "K-SVD: An Algorithm for Designing Overcomplete Dictionaries for Sparse
        Representation", IEEE Transactions on Signal Processing 54 (2006); the power step: R. Rubinstein, M. Zibulevsky
        & M. Elad, Technion CS-2008-08, section 4.
    """
    atoms, length = dictionary.shape
    count = len(signals)
    codes, rests = np.empty((count, atoms)), np.empty((count, length))
    atom = np.empty(length)
    for _ in range(rounds):
        for number in range(count):
            pursue(signals[number], dictionary, nonzeros, codes[number], rests[number])
        for k in range(atoms):
            atom[:] = 0.0
            for number in range(count):
                code = codes[number, k]
                if code != 0.0:
                    for i in range(length):
                        atom[i] += code * (rests[number, i] + code * dictionary[k, i])
            norm = 0.0
            for i in range(length):
                norm += atom[i] * atom[i]
            norm = math.sqrt(norm)
            if not norm > 1e-12:  # nobody uses it: it stays what it was
                continue
            for i in range(length):
                atom[i] /= norm
            for number in range(count):
                code = codes[number, k]
                if code != 0.0:
                    again = 0.0
                    for i in range(length):
                        rests[number, i] += code * dictionary[k, i]
                        again += rests[number, i] * atom[i]
                    for i in range(length):
                        rests[number, i] -= again * atom[i]
                    codes[number, k] = again
            dictionary[k] = atom
