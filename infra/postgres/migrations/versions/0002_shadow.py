"""Looks of the shadow stage and of automatic rollback; predictions of a predecessor.

Revision: 0002, after 0001
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCRIPTS = Path(__file__).resolve().parent.parent / "sql" / revision


def upgrade() -> None:
    for script in sorted(SCRIPTS.glob("*.sql")):
        # Doubled: the driver reads a percent sign as the start of a parameter.
        op.get_bind().exec_driver_sql(script.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("looks are part of the ledger, which is append-only; restore a backup instead")
