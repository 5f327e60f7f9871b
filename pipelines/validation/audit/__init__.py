"""The leak audit: does anything that a model is given know more than it could have known?

Each check is a file with ``NAME`` and ``check(subject) -> CheckResult`` and a line in ``run.CHECKS``. It answers with
findings (check, column, first offending time, sentence) and with how much it looked at. No check knows the clock:
``as_of`` comes in, and all random choices come from ``seed``.
"""

from pipelines.validation.audit.report import AuditReport, CheckResult, Finding, Looked
from pipelines.validation.audit.run import CEILING, CHECKS, audit, audit_frame, audit_function, audit_line
from pipelines.validation.audit.subject import Build, Fitter, Limits, Subject, from_facts, moments, news

__all__ = ["CEILING", "CHECKS", "AuditReport", "Build", "CheckResult", "Finding", "Fitter", "Limits", "Looked",
           "Subject", "audit", "audit_frame", "audit_function", "audit_line", "from_facts", "moments", "news"]
