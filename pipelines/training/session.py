"""What goes from one call of a training to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from pipelines.errors import TrainingError


@dataclass(frozen=True)
class Session:
    """One training under way; ``dataclasses.asdict`` gives JSON, :meth:`from_dict` takes it back. ``as_of`` is
    ISO 8601 UTC. ``warm``: the configuration that the search starts with (``warm_start.Warm`` as plain data), found
    once when the training was opened, or None."""

    line: str
    run_id: str
    study: str
    snapshot_digest: str
    as_of: str
    request_id: int | None
    reason: str
    trials: int
    seed: int
    warm: Mapping[str, Any] | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Session:
        """Read what ``asdict`` wrote.

        Raises:
            TrainingError: a field is missing.
        """
        missing = [field.name for field in fields(cls) if field.default is MISSING and field.name not in values]
        if missing:
            raise TrainingError(f"the session lacks {', '.join(missing)}; open the training again")
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
