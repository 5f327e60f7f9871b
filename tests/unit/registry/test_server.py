"""The whole life of a line on a real MLflow server, and two who promote at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.records import Candidate, Outcome, Promotion
from pipelines.errors import ConfigError, Conflict, RegistryError
from pipelines.gate import decide
from pipelines.registry import evidence, promotion
from pipelines.registry.client import ModelRegistry
from pipelines.registry.reconcile import reconcile
from pipelines.store import ledger
from pipelines.training.record import connect
from tests.unit.registry.world import AT, DAY, START, World, said

AS_OF = START + 23 * DAY


def test_promotion_challenge_and_rollback_are_seen_in_mlflow(tracked: World) -> None:
    world, name = tracked, tracked.line.registered_model
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == []  # there is no model yet
    first = world.train(AS_OF)
    verdict = decide(evidence.assemble(world.warehouse, world.settings, world.line, first), world.line.gate)
    assert verdict.outcome is Outcome.PROMOTE, verdict.reasons
    promotion.apply(world.warehouse, world.settings, world.line, first, verdict, actor="gate", at=AT)
    client = connect(world.settings)
    shown = client.get_model_version_by_alias(name, "champion")
    assert (shown.version, shown.tags[tags.STATE], shown.tags[tags.VERDICT]) == ("1", "champion", "promote")
    assert shown.description.startswith("**Verdict: promote** (against ")
    assert shown.description.endswith("# Card")
    assert client.get_run(first.run_id).data.tags[tags.VERDICT_REASONS] == "\n".join(verdict.reasons)

    second, third = world.train(AS_OF + 8 * DAY, seed=1), world.train(AS_OF + 9 * DAY, seed=2)
    promotion.apply(world.warehouse, world.settings, world.line, second, said(Outcome.INCONCLUSIVE, 1), actor="gate",
                    at=AT)
    assert aliases(client, world) == {"champion": "1", "challenger": "2"}
    promotion.apply(world.warehouse, world.settings, world.line, third, said(Outcome.PROMOTE, 1), actor="gate", at=AT)
    assert aliases(client, world) == {"champion": "3"}
    promotion.rollback(world.warehouse, world.settings, world.line, to=None, actor="ann", reason="why not",
                       effective_at=AS_OF, at=AT)
    assert aliases(client, world) == {"champion": "1", "challenger": "2"}
    assert {item.version: item.tags[tags.STATE] for item in client.search_model_versions(f"name = '{name}'")} == {
        "1": "champion", "2": "challenger", "3": "retired"}

    # Somebody moves the alias by hand: the ledger stands.
    client.set_registered_model_alias(name, "champion", "2")
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == [
        f"{world.line.name}: alias champion set to version 1, was 2"]
    assert reconcile(world.warehouse, world.settings, [world.line], at=AT) == []


def aliases(client: MlflowClient, world: World) -> dict[str, str]:
    return dict(client.get_registered_model(world.line.registered_model).aliases)


def test_pages_versions_and_refusals(tracked: World, tmp_path: Path) -> None:
    registry, candidate = ModelRegistry(tracked.settings), tracked.train(AS_OF)
    for text in ("<html>one</html>", "<html>two</html>"):
        registry.log_page(candidate.run_id, "drift/2024-01-25T0000.html", text)
    path = connect(tracked.settings).download_artifacts(candidate.run_id, "drift/2024-01-25T0000.html", str(tmp_path))
    assert Path(path).read_text(encoding="utf-8") == "<html>two</html>"
    registry.log_files(candidate.run_id, "drift/2024-01-25T0000", {"one.png": b"\x89PNG", "two.png": b"2"})
    registry.log_files(candidate.run_id, "drift/2024-01-25T0000", {"two.png": b"3"})
    registry.log_files(candidate.run_id, "drift/none", {})
    held = Path(connect(tracked.settings).download_artifacts(candidate.run_id, "drift/2024-01-25T0000", str(tmp_path)))
    assert {path.name: path.read_bytes() for path in held.iterdir()} == {"one.png": b"\x89PNG", "two.png": b"3"}
    (version,) = registry.versions(tracked.line).values()
    assert version == registry.version(tracked.line, 1)
    assert (version.version, version.run_id, version.description) == (1, candidate.run_id, "# Card")
    assert version.source.startswith("models:/m-")
    with pytest.raises(RegistryError, match="MLflow refused"):
        registry.set_alias(tracked.line, "champion", 9)
    with pytest.raises(RegistryError, match="MLflow refused"):
        registry.version(tracked.line, 9)
    stranger = Settings(**{**tracked.settings.model_dump(include={"mlflow_url", "mlflow_username"}),
                           "mlflow_password": "wrong"})
    with pytest.raises(ConfigError, match="refuses our login"):
        ModelRegistry(stranger).versions(tracked.line)


def test_of_two_who_promote_at_once_one_is_told_to_judge_again(world: World) -> None:
    first = world.candidate(1)
    promotion.apply(world.warehouse, world.settings, world.line, first, said(Outcome.PROMOTE), actor="gate", at=AT)
    rivals = [world.candidate(version, START + version * DAY) for version in range(2, 6)]

    def promote(candidate: Candidate) -> Promotion | None:
        try:
            return promotion.apply(world.warehouse, world.settings, world.line, candidate, said(Outcome.PROMOTE, 1),
                                   actor="gate", at=AT)
        except Conflict:
            return None

    with ThreadPoolExecutor(4) as pool:
        rows = [row for row in pool.map(promote, rivals) if row is not None]
    assert len(rows) == 1
    with world.warehouse.begin() as connection:
        assert [row.version for row in ledger.history(connection, world.line.name)] == [1, rows[0].version]
    assert world.registry is not None
    assert world.registry.set == {"champion": rows[0].version}
