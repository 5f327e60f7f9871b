"""Looks of the shadow stage and of automatic rollback; predictions of a predecessor.

Revision: 0002, after 0001
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
