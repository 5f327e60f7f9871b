"""The warehouse: bitemporal facts, what is derived from them, the ledger, and the log of the system.

Revision: 0001, the first

Times are timestamptz (UTC). Keys collate "C", so that sorting is by bytes on every server. NaN is never stored in a
fact: it is NULL.
"""

from __future__ import annotations

from pipelines.store.migrate import play, refuse

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    play(revision)


def downgrade() -> None:
    refuse()
