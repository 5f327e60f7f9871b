"""MLflow says what the ledger says: aliases, version tags, and the verdict beside the model.

The projection can be made again at any time and from any state; it writes only what differs, and tells what it wrote.
"""

from __future__ import annotations

import math

from pipelines.contracts import tags as names
from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate, Verdict
from pipelines.registry.client import ModelRegistry
from pipelines.registry.standing import Standing

CHAMPION, CHALLENGER = "champion", "challenger"
#: Separates the verdict from the description that training wrote, which stands below it.
MARK = "\n\n---\n<!-- the model card -->\n\n"


def project(registry: ModelRegistry, line: Line, standing: Standing) -> list[str]:
    """Make the aliases and the state tags of a line equal to ``standing``; what was changed, one sentence each.

    Raises:
        RegistryError, TrackingUnavailable
    """
    present = registry.aliases(line)
    if present is None:
        return []
    changed = []
    known = registry.versions(line)
    for alias, version in ((CHAMPION, standing.champion), (CHALLENGER, standing.challenger)):
        if present.get(alias) == version or (version is not None and version not in known):
            continue
        if version is None:
            registry.delete_alias(line, alias)
            changed.append(f"{line.name}: alias {alias} removed from version {present[alias]}")
        else:
            registry.set_alias(line, alias, version)
            changed.append(f"{line.name}: alias {alias} set to version {version}, was {present.get(alias, 'unset')}")
    for version, state in standing.states.items():
        if version in known and known[version].tags.get(names.STATE) != state.value:
            registry.tag_version(line, version, names.STATE, state.value)
            changed.append(f"{line.name}: version {version} is {state.value}, "
                           f"was {known[version].tags.get(names.STATE, 'untagged')}")
    return changed


def publish(registry: ModelRegistry, line: Line, candidate: Candidate, verdict: Verdict) -> None:
    """Put the verdict where people look: the version's description and tags, and the training's run."""
    found = registry.version(line, candidate.version)
    described = words(verdict) + MARK + found.description.split(MARK)[-1]
    if described != found.description:
        registry.describe_version(line, candidate.version, described)
    outcome = verdict.outcome.value
    if found.tags.get(names.VERDICT) != outcome:
        registry.tag_version(line, candidate.version, names.VERDICT, outcome)
    registry.tag_run(candidate.run_id, {names.VERDICT: outcome, names.VERDICT_REASONS: "\n".join(verdict.reasons)})


def words(verdict: Verdict) -> str:
    """The verdict as Markdown: outcome, reasons, effect."""
    lines = [f"**Verdict: {verdict.outcome.value}** (against {verdict.opponent}"
             + (f", version {verdict.champion_version})" if verdict.champion_version is not None else ")"), ""]
    lines += [f"- {reason}" for reason in verdict.reasons]
    if math.isfinite(verdict.effect):
        lines.append(f"- Effect {verdict.effect:+.5f} nats of log loss per prediction, 95 % interval "
                     f"{verdict.effect_low:+.5f} to {verdict.effect_high:+.5f}, one-sided p {verdict.p_value:.4f}, "
                     f"{verdict.periods} timestamps, {verdict.rows} rows.")
    return "\n".join(lines)
