"""The trials of a search and their number in the verdict, for a gate that corrects for them.

Revision: 0003, after 0002
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
