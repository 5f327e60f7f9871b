"""What a transformer's directory has to look like, what its logits mean, and what is said when it cannot be used.

A real model is not in this test: neither the libraries nor weights are part of the project.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from pipelines.errors import ConfigError, UnsafeArtifact
from pipelines.sentiment import transformer

CLASSES = {"0": "Positive", "1": "negative", "2": "neutral"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"id2label": CLASSES}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


def test_a_directory_of_safetensors_is_fine(directory: Path) -> None:
    classes, weights = transformer.inspect(directory)
    assert classes == ("positive", "negative", "neutral")
    assert [path.name for path in weights] == ["model.safetensors"]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "x.PKL", "modeling_custom.py", "deep/weights.ckpt"])
def test_pickles_and_code_are_refused_though_safetensors_lie_beside_them(directory: Path, name: str) -> None:
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(UnsafeArtifact, match=rf"holds {Path(name).name}; only safetensors"):
        transformer.load(directory)


def test_without_weights_nothing_is_read(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    with pytest.raises(UnsafeArtifact, match="holds no weights"):
        transformer.load(directory)


@pytest.mark.parametrize(("config", "words"), [
    ("{", "names no classes"), ("{}", "names no classes"), ('{"id2label": {"1": "positive"}}', "names no classes"),
    ('{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}', "the classes of .* are label_0, label_1; they have to be"),
    ('{"id2label": {"0": "positive", "1": "neutral"}}', "have to be positive and negative")])
def test_classes_that_nobody_knows_are_refused(directory: Path, config: str, words: str) -> None:
    (directory / "config.json").write_text(config)
    with pytest.raises(ConfigError, match=words):
        transformer.load(directory)


def test_a_place_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no config\.json; name a directory"):
        transformer.load(tmp_path / "none")


def test_missing_libraries_are_named_with_the_remedy(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(transformer, "import_module", absent)
    with pytest.raises(ConfigError, match=r"needs torch, which is not installed; run `pip install transformers torch`"):
        transformer.load(directory)


def test_shares_are_the_probabilities_of_the_classes_by_name() -> None:
    logits = np.random.default_rng(0).normal(0, 5, (50, 3))
    found = transformer.polarity(logits, ("negative", "positive", "neutral"))
    negative, positive, neutral = softmax(logits, axis=1).T
    np.testing.assert_allclose(found, np.stack([positive - negative, positive, neutral, negative], axis=1), atol=1e-12)
    two = transformer.polarity(logits[:, :2], ("negative", "positive"))
    assert (two[:, 2] == 0).all()
    np.testing.assert_allclose(two[:, 1:].sum(axis=1), 1)
