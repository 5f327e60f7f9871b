"""From a task in Airflow to its run in MLflow, and to the report about the data it took in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from airflow.sdk import BaseOperator, BaseOperatorLink, BaseXCom, get_current_context

from tidemark_airflow import context
from tidemark_airflow.pages import page_address

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

_KEY = "mlflow_run"
_PAGE = "quality_page"


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


@attrs.define
class QualityLink(BaseOperatorLink):
    """The button *Data quality* on a task that has taken data in."""

    @property
    def name(self) -> str:
        return "Data quality"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address that the task has pushed, or nothing."""
        return BaseXCom.get_value(ti_key=ti_key, key=_PAGE) or ""

    @staticmethod
    def push(settings: Any, pages: Sequence[str | None]) -> None:
        """Called in a task body: remember the report of the last day of the run."""
        if pages and pages[-1]:
            context.get_current_context()["ti"].xcom_push(
                key=_PAGE, value=page_address(settings.airflow_url, pages[-1]))
