"""From a task in Airflow to its run in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from airflow.sdk import BaseOperator, BaseOperatorLink, BaseXCom, get_current_context

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

_KEY = "mlflow_run"


@attrs.define
class MlflowRunLink(BaseOperatorLink):
    """The button *MLflow run* on a task that has pushed one."""

    @property
    def name(self) -> str:
        return "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address that the task has pushed, or nothing."""
        return BaseXCom.get_value(ti_key=ti_key, key=_KEY) or ""

    @staticmethod
    def push(settings: Any, run_id: str) -> None:
        """Called in a task body: remember the page of ``run_id``."""
        get_current_context()["ti"].xcom_push(key=_KEY, value=f"{settings.require('mlflow_url')}/#/runs/{run_id}")
