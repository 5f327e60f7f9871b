"""Notices: what people are told, through which channel, and what was told already.

Revision: 0009, after 0006
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
