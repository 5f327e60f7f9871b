"""What Tidemark adds to Airflow's interface: the way to MLflow, and the data-quality pages.

Airflow loads this file in the scheduler too, from which LocalExecutor forks its tasks; what is imported here does not
have to be imported again for every task.
"""

from __future__ import annotations

from typing import Any, ClassVar

import airflow.providers.standard.decorators.branch_python
import airflow.providers.standard.decorators.short_circuit  # noqa: F401
from airflow.plugins_manager import AirflowPlugin

import tidemark_airflow.approval
import tidemark_airflow.context
import tidemark_airflow.history
import tidemark_airflow.judging
import tidemark_airflow.looking
import tidemark_airflow.ordering
import tidemark_airflow.policies
import tidemark_airflow.training
import tidemark_airflow.upkeep
import tidemark_airflow.watching  # noqa: F401
from tidemark_airflow.lines import setting
from tidemark_airflow.pages import PREFIX, pages
from tidemark_airflow.timetables import DailyPartitions


def mlflow_views() -> list[dict[str, Any]]:
    """A link to MLflow in the navigation, when its address is known."""
    url = setting("TIDEMARK_MLFLOW_URL")
    if not url:
        return []
    return [{"name": "MLflow", "href": url, "destination": "nav", "category": "browse"}]


class TidemarkPlugin(AirflowPlugin):
    """Registered by Airflow from the plugins folder."""

    name = "tidemark"
    timetables: ClassVar[list[Any]] = [DailyPartitions]
    external_views: ClassVar[list[dict[str, Any]]] = mlflow_views()
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [{"app": pages, "url_prefix": PREFIX, "name": "Tidemark"}]
