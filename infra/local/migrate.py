"""Bring the warehouse of the settings up to date: ``python -m infra.local.migrate``."""

from __future__ import annotations

import sys

from pipelines import config
from pipelines.errors import TidemarkError


def main() -> int:
    try:
        from pipelines.store.migrate import upgrade

        upgrade(config.load().require("database_url"))
    except TidemarkError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
