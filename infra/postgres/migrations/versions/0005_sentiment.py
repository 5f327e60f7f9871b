"""Sentiment aggregates every ten minutes, credibility of sources, a view of the market mood.

Revision: 0005, after 0004
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
