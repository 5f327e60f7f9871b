"""Labels: what people think of texts, for scorers that learn from it.

Revision: 0006, after 0005
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCRIPTS = Path(__file__).resolve().parent.parent / "sql" / revision


def upgrade() -> None:
    for script in sorted(SCRIPTS.glob("*.sql")):
        # Doubled: the driver reads a percent sign as the start of a parameter.
        op.get_bind().exec_driver_sql(script.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("facts are not thrown away by a migration; restore a backup")
