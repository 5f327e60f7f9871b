"""A person's answer before a promotion: Airflow asks, the ledger remembers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from tidemark_airflow.lines import LineInfo

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Without an answer in this time the candidate is refused and the champion stays.
PATIENCE = timedelta(days=3)


class LedgerApproval(ApprovalOperator):
    """Airflow's approval task, whose answer (a refusal too) is written to the ledger before anything follows."""

    def __init__(self, *, line_name: str, judge_task: str = "judge", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.line_name, self.judge_task = line_name, judge_task

    @classmethod
    def of(cls, line: LineInfo) -> LedgerApproval:
        """The approval task of a line, between ``judge`` and ``promote``."""
        judged = "ti.xcom_pull(task_ids='judge')"
        return cls(
            task_id="approve", line_name=line.name, response_timeout=PATIENCE, defaults="Reject",
            subject=f"Promote {line.name} v{{{{ {judged}['version'] }}}}?",
            body=f"{{% for sentence in {judged}['sentences'] %}}* {{{{ sentence }}}}\n{{% endfor %}}",
            doc_md="A person approves or rejects. No answer in three days counts as a rejection.")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        if "chosen_options" in event:
            self._record(context, event)
        return super().execute_complete(context, event)

    def _record(self, context: Context, event: Mapping[str, Any]) -> None:
        from pipelines.registry import promotion
        from tidemark_airflow.context import work

        version = context["ti"].xcom_pull(task_ids=self.judge_task)["version"]
        person = (event.get("responded_by_user") or {}).get("name") or "nobody (no answer in time)"
        with work() as w:
            promotion.approve(
                w.warehouse, w.settings, w.line(self.line_name), version,
                approved=event["chosen_options"] == [self.APPROVE], actor=f"airflow:{person}",
                reason=f"answered in {w.run}", at=w.at)
