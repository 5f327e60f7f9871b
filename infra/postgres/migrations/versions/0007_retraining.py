"""What each step of a training took, and the recipe it was made by.

Revision: 0007, after 0006
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
