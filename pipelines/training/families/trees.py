"""What a stored tree has to be before anything walks it: scikit-learn trusts the indices inside of its arrays."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import UnsafeArtifact


def check_trees(trees: Iterable[Any], features: int, outputs: int, path: Path) -> None:
    """Refuse a scikit-learn ``Tree`` in which a prediction would leave its arrays or never end: children have to lie
    behind their parents and inside the tree, and splits on features that exist.

    Args:
        outputs: how many numbers a node holds (2 classes, or 1 value).

    Raises:
        UnsafeArtifact: a tree of ``path`` points elsewhere, or has another shape.
    """
    for tree in trees:
        leaf = tree.children_left == -1
        fitting = (tree.n_features == features and tree.value.shape == (tree.node_count, 1, outputs)
                   and np.array_equal(leaf, tree.children_right == -1)
                   and inside(leaf, (tree.children_left, tree.children_right), tree.feature, features))
        if not fitting:
            raise UnsafeArtifact(f"{path} holds a tree whose nodes point outside of it; restore it or train again")


def inside(leaf: Any, children: Iterable[Any], feature: Any, features: int) -> bool:
    """Whether every inner node's children lie behind it and inside the tree, its feature exists; arrays (nodes,)."""
    number = np.arange(len(leaf))
    placed = all(bool(np.all(leaf | ((child > number) & (child < len(leaf))))) for child in children)
    return len(leaf) > 0 and placed and bool(np.all(leaf | ((feature >= 0) & (feature < features))))
