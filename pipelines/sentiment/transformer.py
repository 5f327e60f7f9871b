"""A transformer (FinBERT and its like) from a local directory as a scorer; needs ``transformers`` and ``torch``.

The directory is what ``save_pretrained`` writes: ``config.json`` with the names of the classes, a tokenizer, and
weights as safetensors. Weights in other formats run code when they are read: they are refused, and so is code beside
them. Nothing is fetched from a hub.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray
from pipelines.errors import ConfigError, ContractError, UnsafeArtifact
from pipelines.sentiment.scorer import COLUMNS

#: Texts at once, and tokens of each that count: what a processor's cache and BERT's positions hold.
BATCH, TOKENS = 32, 512
_CLASSES = ("positive", "neutral", "negative")
_UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack", ".py")


@dataclass(frozen=True)
class TransformerScorer:
    """A ``contracts.ports.Scorer``: the shares are the probabilities of the classes, compound = positive - negative."""

    name: str
    classes: tuple[str, ...]
    tokenizer: Any = field(repr=False)
    model: Any = field(repr=False)
    torch: Any = field(repr=False)

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        """Columns ``compound``, ``positive``, ``neutral``, ``negative``, one row per text; a missing or blank text
        scores all zeros.

        Raises:
            ContractError: an element is neither text nor missing.
        """
        asked = ["" if pd.isna(text) else text for text in texts]
        for at, text in enumerate(asked):
            if not isinstance(text, str):
                raise ContractError(f"text {at} is a {type(text).__name__}; pass strings (None or NaN count as empty)")
        places = [at for at, text in enumerate(asked) if text.strip()]
        scores = np.zeros((len(asked), len(COLUMNS)))
        for begin in range(0, len(places), BATCH):
            chosen = places[begin:begin + BATCH]
            scores[chosen] = polarity(self._logits([asked[at] for at in chosen]), self.classes)
        return pd.DataFrame(scores, columns=list(COLUMNS))

    def _logits(self, texts: list[str]) -> FloatArray:
        with self.torch.inference_mode():
            tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
            found: FloatArray = self.model(**tokens).logits.double().cpu().numpy()
        return found


def load(directory: Path) -> TransformerScorer:
    """The model of ``directory``, named after it and the digest of its weights.

    Raises:
        ConfigError: no such directory, no class names that we know, or the libraries are not installed.
        UnsafeArtifact: it holds weights that are not safetensors, or code.
    """
    classes, weights = inspect(directory)
    try:
        torch, transformers = import_module("torch"), import_module("transformers")
    except ImportError as error:
        raise ConfigError(f"a transformer needs {error.name}, which is not installed; run `pip install transformers "
                          "torch`, or score with a lexicon") from error
    options = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(directory), **options)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        str(directory), use_safetensors=True, **options).eval()
    digest = hashlib.sha256()
    for path in weights:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return TransformerScorer(f"{directory.name}@{digest.hexdigest()[:12]}", classes, tokenizer, model, torch)


def inspect(directory: Path) -> tuple[tuple[str, ...], list[Path]]:
    """The names of the classes in the order of the logits, and the files of weights; opens nothing but the JSON.

    Raises:
        ConfigError, UnsafeArtifact: as of ``load``.
    """
    if not (directory / "config.json").is_file():
        raise ConfigError(f"{directory} holds no config.json; name a directory that `save_pretrained` has written")
    unsafe = sorted(path.name for path in _files(directory) if path.suffix.lower() in _UNSAFE)
    weights = sorted(path for path in _files(directory) if path.suffix == ".safetensors")
    if unsafe or not weights:
        what = f"holds {', '.join(unsafe)[:200]}" if unsafe else "holds no weights"
        raise UnsafeArtifact(f"{directory} {what}; only safetensors are read, for reading anything else runs its code: "
                             "save it again with `safe_serialization=True` and remove the other files")
    try:
        names = json.loads((directory / "config.json").read_text(encoding="utf-8"))["id2label"]
        classes = tuple(str(names[str(number)]).lower() for number in range(len(names)))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{directory}/config.json names no classes (id2label); add them") from error
    if set(classes) - set(_CLASSES) or not {"positive", "negative"} <= set(classes):
        raise ConfigError(f"the classes of {directory} are {', '.join(classes)}; they have to be positive and "
                          "negative, and may be neutral: rename them in id2label of its config.json")
    return classes, weights


def polarity(logits: FloatArray, classes: Sequence[str]) -> FloatArray:
    """``COLUMNS`` of logits of shape (texts, classes): softmax, then the shares by name."""
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    share = {name: np.zeros(len(logits)) for name in _CLASSES} | dict(zip(classes, chances.T, strict=True))
    return np.stack([share["positive"] - share["negative"], *(share[name] for name in _CLASSES)], axis=1)


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file() or path.is_symlink())
