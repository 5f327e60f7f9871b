"""The docs say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.contracts.line import Line
from pipelines.features import catalog
from pipelines.validation import metrics

ROOT = Path(__file__).resolve().parents[2]


def guide() -> str:
    """The feature guide, made from the catalog."""
    rows = [
        "# Features",
        "",
        "Made from the catalog by `python -m tests.unit.test_docs`; a test holds that it is current. A look-back",
        "counts bars before the row's own. *Neutral* stands in for an absent input; without one the row waits for it.",
        "",
        "| group | feature | inputs | look-back | unit | formula and source | neutral |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in catalog.describe().to_dict("records"):
        neutral = "" if item["neutral"] != item["neutral"] or item["neutral"] is None else f"{item['neutral']:g}"
        source = str(item["source"]).replace("|", "\\|")
        rows.append(f"| {item['group']} | `{item['feature']}` | {item['inputs']} | {item['lookback']} | {item['unit']} "
                    f"| {source} | {neutral} |")
    return "\n".join(rows) + "\n"


def test_the_feature_guide_is_current() -> None:
    assert (ROOT / "docs" / "features.md").read_text(encoding="utf-8") == guide()


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
    (ROOT / "docs" / "features.md").write_text(guide(), encoding="utf-8")
