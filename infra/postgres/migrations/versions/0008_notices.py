"""Notices: what people are told, through which channel, and what was told already.

Revision: 0008, after 0007
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
