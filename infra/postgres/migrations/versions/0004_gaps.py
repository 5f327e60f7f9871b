"""Stretches of bars that never came.

Revision: 0004, after 0003
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
