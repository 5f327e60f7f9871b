"""The warehouse: bitemporal facts, what is derived from them, the ledger, and the log of the system.

Revision: 0001, the first

Times are timestamptz (UTC). Keys collate "C", so that sorting is by bytes on every server. NaN is never stored in a
fact: it is NULL.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCRIPTS = Path(__file__).resolve().parent.parent / "sql" / revision


def upgrade() -> None:
    for script in sorted(SCRIPTS.glob("*.sql")):
        # Doubled: the driver reads a percent sign as the start of a parameter.
        op.get_bind().exec_driver_sql(script.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("the first migration has nothing before it; drop the schema ai_trading by hand")
