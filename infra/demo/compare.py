"""``python -m infra.demo.compare ONE.json OTHER.json``: did two demos end with the same champions and ledger?

What may differ is left out: names of runs, and how long it took.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

#: Of each model in a summary: what was decided, on what evidence.
MODEL = ("line", "version", "as_of", "family", "trials", "asked_for_by", "verdict", "why", "opponent", "effect", "auc",
         "rows")
PROMOTION = ("line", "action", "version", "previous", "effective_at")


def outcome(summary: dict[str, Any]) -> dict[str, Any]:
    """The part of a demo's summary that has to be the same when the same facts arrived."""
    return {
        "champions": summary["champions"],
        "promotions": [{name: row[name] for name in PROMOTION} for row in summary["promotions"]],
        "models": [{name: row.get(name) for name in MODEL} for row in summary["models"]],
        "alarms": summary["alarms"],
        "rows": summary["rows"],
    }


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Every place where two outcomes differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [line for name in sorted({*one, *other})
                for line in differences(one.get(name), other.get(name), f"{where}.{name}".lstrip("."))]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [line for place, pair in enumerate(zip(one, other, strict=True))
                for line in differences(*pair, f"{where}[{place}]")]
    return [] if one == other else [f"{where}: {one!r} | {other!r}"]


def main() -> int:
    """Print what differs; exit 0 when nothing does, 1 when something does, 2 on a wrong call."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    summaries = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    found = differences(*map(outcome, summaries))
    for summary, name in zip(summaries, sys.argv[1:], strict=True):
        print(f"{name}: faults {summary.get('faults') or 'none'}, champions {summary['champions']}")
    print("\n".join(found) or "the same champions, promotions, verdicts to the last digit, alarms and row counts")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
