"""Labels: what people think of texts, for scorers that learn from it.

Revision: 0006, after 0005
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
