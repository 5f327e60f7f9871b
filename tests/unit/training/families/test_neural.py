from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from pipelines.errors import ConfigError, UnsafeArtifact
from pipelines.features import catalog
from pipelines.training import families, record
from pipelines.training.families import container, neural, neural_train

NAMES = (*(f"lag_{channel}_{hour:02d}" for channel in ("return", "range") for hour in range(1, 7)), "calm", "hour")
BOTH = ("lstm", "transformer")


def rows(count: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The label follows the last three hours' returns and, a little, a column beside; a fiftieth is missing."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, len(NAMES)))
    chances = expit(1.2 * features[:, :3].sum(axis=1) + 0.5 * features[:, 12])
    labels = (rng.random(count) < chances).astype(float)
    features[rng.random(features.shape) < 0.02] = math.nan
    return features, labels


@pytest.fixture(scope="module", params=BOTH)
def model(request: pytest.FixtureRequest) -> neural.Fitted:
    family = families.get(request.param)
    return family.fit(*rows(), NAMES, {**family.defaults, "epochs": 4}, seed=1)  # type: ignore[return-value]


def test_lags_are_a_sequence_and_the_rest_stands_beside() -> None:
    found = neural.layout(NAMES, row_is_step=True)
    assert found.steps.tolist() == [[6 + hour - 1, hour - 1] for hour in range(6, 0, -1)]  # range, return; oldest first
    assert found.beside.tolist() == [12, 13]
    assert neural.layout(("b", "a"), row_is_step=True).steps.tolist() == [[0, 1]]
    assert neural.layout(("b", "a"), row_is_step=False).steps.shape == (0, 1)
    gap = tuple(name for name in NAMES if name != "lag_range_04")  # channels of different lengths are no sequence
    assert neural.layout(gap, row_is_step=False).beside.tolist() == list(range(13))
    group, = catalog.select(("lags",))
    assert neural.layout(tuple(feature.name for feature in group.features), False).steps.shape == (24, 3)


def test_the_kernel_computes_what_pytorch_learned(model: neural.Fitted) -> None:
    features, _ = rows(300, seed=1)
    tensors = {name: torch.tensor(np.asarray(value), dtype=torch.float64)
               for name, value in model.native().tensors.items()}
    x = torch.tensor(neural.standardised(features, model._tensors))
    told = torch.sigmoid(neural_train._log_odds(model._network, model._layout, tensors, x)).numpy()
    np.testing.assert_allclose(model.predict(features), told, rtol=1e-12)


def test_a_row_alone_scores_as_in_any_batch(model: neural.Fitted) -> None:
    features, _ = rows(200, seed=2)
    whole = model.predict(features)
    assert [model.predict(features[row:row + 1])[0] for row in range(200)] == whole.tolist()
    assert model.predict(features[::-3]).tobytes() == np.ascontiguousarray(whole[::-3]).tobytes()
    assert model.predict(features[:0]).shape == (0,)


def test_lstm_is_pytorchs() -> None:
    """Against ``torch.nn.LSTM`` with the same weights, whose gates come in the order input, forget, cell, output."""
    network, width = families.get("lstm")._network, 5  # type: ignore[attr-defined]
    where = neural.layout(NAMES, row_is_step=True)
    rng = np.random.default_rng(0)
    p = {name: torch.tensor(rng.standard_normal(shape)) for name, shape in network.shapes(where, width).items()}
    peer = torch.nn.LSTM(2, width, batch_first=True).double()
    order = np.concatenate([np.arange(2 * width), np.arange(3 * width, 4 * width), np.arange(2 * width, 3 * width)])
    with torch.no_grad():
        peer.weight_ih_l0.copy_(p["input"].T[order])
        peer.weight_hh_l0.copy_(p["state"].T[order])
        peer.bias_ih_l0.copy_(p["gates"][order])
        peer.bias_hh_l0.zero_()
        x = torch.tensor(rng.standard_normal((7, len(NAMES))))
        last = peer(x[:, where.steps.ravel()].reshape(7, 6, 2))[0][:, -1]
        expected = torch.tanh(last @ p["last"] + x[:, [12, 13]] @ p["beside"] + p["hidden"]) @ p["out"]
    np.testing.assert_allclose(network.forward(p, where, x).numpy(), expected.numpy(), rtol=1e-10)


def test_attention_is_pytorchs() -> None:
    """One encoder block against ``torch.nn.TransformerEncoderLayer`` (norm first, one head, GELU, one bias)."""
    network, width = families.get("transformer")._network, 8  # type: ignore[attr-defined]
    names = NAMES[:12]
    where = neural.layout(names, row_is_step=False)
    rng = np.random.default_rng(0)
    p = {name: torch.tensor(rng.standard_normal(shape)) for name, shape in network.shapes(where, width).items()}
    peer = torch.nn.TransformerEncoderLayer(width, 1, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
                                            norm_first=True).double()
    with torch.no_grad():
        for value in peer.parameters():
            value.zero_()
        peer.norm1.weight.fill_(1.0)
        peer.norm2.weight.fill_(1.0)
        peer.self_attn.in_proj_weight.copy_(torch.cat([p["query"], p["key"], p["value"]], dim=1).T)
        peer.self_attn.out_proj.weight.copy_(p["mix"].T)
        peer.linear1.weight.copy_(p["up"].T)
        peer.linear1.bias.copy_(p["up_bias"])
        peer.linear2.weight.copy_(p["down"].T)
        x = torch.tensor(rng.standard_normal((7, 12)))
        hours = peer(x[:, where.steps.ravel()].reshape(7, 6, 2) @ p["hour"] + p["position"])
        tokens = torch.nn.functional.layer_norm(hours, (width,))
        looks = torch.softmax(tokens @ p["class_key"] @ p["class"] / math.sqrt(width), dim=1)
        found = p["class"] + torch.einsum("rt,rtw->rw", looks, tokens) @ p["class_value"]
        wide = torch.nn.functional.layer_norm(found, (width,)) @ p["class_up"] + p["class_up_bias"]
        found = found + torch.nn.functional.gelu(wide) @ p["class_down"]
        expected = torch.nn.functional.layer_norm(found, (width,)) @ p["out"]
    np.testing.assert_allclose(network.forward(p, where, x).numpy(), expected.numpy(), rtol=1e-9)


def test_contributions_are_complete_and_importance_is_their_mean_size(model: neural.Fitted) -> None:
    """Integrated gradients add up to the distance from the mean row (Sundararajan et al. 2017, proposition 1)."""
    features, _ = rows(200, seed=3)
    told = model.contributions(features)
    mean = np.full((1, len(NAMES)), math.nan)  # what is missing is the mean
    np.testing.assert_allclose(told.sum(axis=1), logit(model.predict(features)) - logit(model.predict(mean)), atol=1e-4)
    assert (told[np.isnan(features)] == 0).all()
    assert set(np.argsort(model.importance())[-3:]) == {0, 1, 2}
    learned, _ = rows()
    chosen = np.unique(np.linspace(0, len(learned) - 1, 64).astype(int))
    np.testing.assert_allclose(np.abs(model.contributions(learned[chosen])).mean(axis=0), model.importance(), atol=1e-4)


def test_it_learns_what_no_straight_line_can() -> None:
    """The label follows the sign of last hour's return only where its range is wide: an LSTM's gate can tell."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((6000, len(NAMES)))
    labels = (rng.random(6000) < expit(2.5 * features[:, 0] * features[:, 6])).astype(float)
    family = families.get("lstm")
    params = {**family.defaults, "epochs": 16, "learning_rate": 0.01}
    chances = family.fit(features[:4500], labels[:4500], NAMES, params, 1).predict(features[4500:])
    linear = families.get("logistic_regression")
    straight = linear.fit(features[:4500], labels[:4500], NAMES, linear.defaults, 1).predict(features[4500:])
    assert roc_auc_score(labels[4500:], straight) < 0.56
    assert roc_auc_score(labels[4500:], chances) > 0.65


def test_threads_and_pytorchs_own_randomness_change_no_byte(model: neural.Fitted) -> None:
    family = families.get(model.family)
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(99)
        before = torch.random.get_rng_state()
        again = family.fit(*rows(), NAMES, {**family.defaults, "epochs": 4}, seed=1)
        assert again.fingerprint() == model.fingerprint()
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.random.get_rng_state(), before)
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)
        torch.random.set_rng_state(state)


def test_the_latest_rows_only_choose_the_epoch() -> None:
    features, labels = rows()
    cut = len(features) - round(neural_train.LATEST * len(features))
    family = families.get("lstm")
    params = {**family.defaults, "epochs": 1}
    one = family.fit(features, labels, NAMES, params, 1)
    changed = features.copy()
    changed[cut:] *= 7
    other = family.fit(changed, 1 - labels * (np.arange(len(labels)) >= cut), NAMES, params, 1)
    assert family.fit(features * np.where(np.arange(len(labels)) < cut, 1, 7)[:, None], np.where(
        np.arange(len(labels)) < cut, labels, 1 - labels), NAMES, params, 1).predict(features).tobytes() == one.predict(
            features).tobytes()
    assert other.fingerprint() != one.fingerprint()  # and the rows before are learned from


def test_the_same_model_is_the_same_file_and_comes_back(model: neural.Fitted, tmp_path: Path) -> None:
    container.write(model.native(), tmp_path / neural.FILE)
    family = families.get(model.family)
    back = family.load(tmp_path, NAMES)
    container.write(back.native(), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / neural.FILE).read_bytes()
    assert back.fingerprint() == model.fingerprint()
    features, _ = rows(50, seed=4)
    assert back.predict(features).tobytes() == model.predict(features).tobytes()
    assert (back.importance() == model.importance()).all()


def _config(**changes: object) -> object:
    return lambda tensors, config: (tensors, {**config, **changes})


def _tensor(name: str, change: object) -> object:
    return lambda tensors, config: ({**tensors, name: change(tensors[name])}, config)  # type: ignore[operator]


@pytest.mark.parametrize(("spoil", "reason"), [
    (_config(width=9), "other tensors"), (_config(width=-1), "something else about itself"),
    (_config(width=10**9), "something else about itself"), (_config(width=True), "something else about itself"),
    (_config(format=2), "something else about itself"), (_config(more=1), "something else about itself"),
    (_config(names=[*NAMES[1:], NAMES[0]]), "something else about itself"),
    (_config(names=list(NAMES[:3])), "takes 3 features, 14 are declared"), (_config(names=5), "is not a safetensors"),
    (_config(family="random_forest"), "is a random_forest, not a"),
    (_tensor("net.out", lambda v: v[:-1]), r"other tensors .*net\.out"),
    (_tensor("net.out", lambda v: v.astype(np.float64)), r"other tensors .*net\.out"),
    (_tensor("linear", lambda v: v * np.float32(np.nan)), "other tensors .*linear"),
    (_tensor("mean", lambda v: v + np.inf), "other tensors .*mean"),
    (_tensor("scale", lambda v: v * 0), "other tensors .*scale"),
    (lambda tensors, config: ({**tensors, "extra": np.zeros(3)}, config), "other tensors .*extra"),
    (lambda tensors, config: ({name: value for name, value in tensors.items() if name != "bias"}, config),
     "other tensors .*bias")])
def test_a_file_that_was_tampered_with_is_refused(spoil: object, reason: str, model: neural.Fitted,
                                                  tmp_path: Path) -> None:
    native = model.native()
    container.write(neural.Native(*spoil(native.tensors, native.config)), tmp_path / neural.FILE)  # type: ignore[operator]
    with pytest.raises(UnsafeArtifact, match=reason):
        families.get(model.family).load(tmp_path, NAMES)


@pytest.mark.parametrize("meaning", [None, {"model": "[1]"}, {"model": "{"}, {"other": "{}"}])
def test_a_file_without_its_meaning_is_refused(meaning: dict[str, str] | None, tmp_path: Path) -> None:
    save_file({"bias": np.zeros(1)}, tmp_path / neural.FILE, meaning)
    with pytest.raises(UnsafeArtifact, match="is not a safetensors model"):
        families.get("lstm").load(tmp_path, NAMES)


def test_a_file_that_is_too_large_or_cut_is_refused(model: neural.Fitted, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / neural.FILE
    container.write(model.native(), file)
    assert load_file(file).keys() == model.native().tensors.keys()
    whole = file.read_bytes()
    for cut in (whole[:-1], whole[:40], whole + b"x", (2**40).to_bytes(8, "little") + whole[8:], b""):
        file.write_bytes(cut)
        with pytest.raises(UnsafeArtifact, match="is not a safetensors model"):
            families.get(model.family).load(tmp_path, NAMES)
    monkeypatch.setattr(neural, "_MOST_BYTES", len(whole) - 1)
    file.write_bytes(whole)
    with pytest.raises(UnsafeArtifact, match="a model here has at most"):
        families.get(model.family).load(tmp_path, NAMES)


def test_a_missing_extra_is_named_and_only_missed_by_the_line_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(families, "find_spec", lambda name: None if name == "torch" else there(name))
    with pytest.raises(ConfigError, match=r"lstm in search\.families needs torch; .*`make deep`, or `pip inst"):
        families.get("lstm")
    assert set(families.names()) - set(families.installed()) == set(BOTH)
    assert families.get("lightgbm").name == "lightgbm"


def test_the_processes_that_fork_trainings_start_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    there, taken = importlib.util.find_spec, []
    monkeypatch.setattr(families, "find_spec", lambda name: None if name == "torch" else there(name))
    monkeypatch.setattr(families, "get", taken.append)
    monkeypatch.setattr(record, "warm", lambda: taken.append("record"))
    sys.modules.pop("pipelines.training.warm", None)
    importlib.import_module("pipelines.training.warm")
    assert taken == [name for name in families.names() if name not in BOTH] + ["record"]
