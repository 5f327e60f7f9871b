"""The docs say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.contracts.line import Line
from pipelines.features import catalog, guide
from pipelines.validation import metrics

ROOT = Path(__file__).resolve().parents[2]


def test_the_feature_guide_is_current() -> None:
    assert (ROOT / "docs" / "features.md").read_text(encoding="utf-8") == guide.text()


def test_the_feature_guide_has_every_group_and_feature() -> None:
    text = guide.text()
    for group in catalog.GROUPS.values():
        section = text.split(f"### {group.name}\n", 1)[1].split("\n### ")[0]
        assert [feature.name for feature in group.features] == re.findall(r"^\| `(\w+)`", section, re.MULTILINE)


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [name for name in metrics.NAMES if f"`{name}`" not in text] == []


def test_every_table_and_key_of_a_line_is_documented() -> None:
    text = (ROOT / "mlflow" / "README.md").read_text(encoding="utf-8")
    missing = []
    for name, field in Line.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        keys = [name] if inner is None else [f"[{name}]", *inner]
        missing += [f"{name}.{key}" for key in keys if key not in text]
    assert missing == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        broken += [f"{page.name}: {target}" for target in targets if not (page.parent / target).exists()]
    assert broken == []


if __name__ == "__main__":
    (ROOT / "docs" / "features.md").write_text(guide.text(), encoding="utf-8")
