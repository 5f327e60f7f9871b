"""
### Train

Serves one open retrain request of the line. `retrain/<line>` only rings; the request is claimed from the ledger, and
when there is none the run ends skipped. By hand, the trigger form puts a request into the ledger first.

claim → open (snapshot as of the request's time, Optuna study, MLflow run) → the leak audit, and beside it trials,
mapped over workers that share one study on PostgreSQL → conclude (evidence on days that the search never saw, final
fit, report, registration) → `candidate/<line>` rings with the version. Whatever fails, a leak too, `close` marks the
MLflow run FAILED with the cause and gives the request back, or closes it as failed when another try cannot help.
"""

from __future__ import annotations

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from tidemark_airflow import assets
from tidemark_airflow.context import Json, tell, work
from tidemark_airflow.lines import asked_for, lines
from tidemark_airflow.links import MlflowRunLink
from tidemark_airflow.policies import ML_POOL, dag_defaults
from tidemark_airflow.training import train_params


@task(doc_md="Take the open request out of the ledger, so that nobody else serves it.")
def claim(name: str) -> Json:
    from tidemark_airflow import training

    with work() as w:
        return training.claim(w, name)


@task(pool=ML_POOL, doc_md="Snapshot, study and MLflow run. XCom carries their names.")
def open_training(name: str, request: dict) -> Json:
    from pipelines.training import stage
    from tidemark_airflow import training

    with work() as w:
        session = stage.open_training(w.warehouse, w.settings, w.line(name), training.as_request(request), at=w.at)
        MlflowRunLink.push(w.settings, session.run_id)
        return tell("opened", session)


@task(pool=ML_POOL, doc_md="No feature, label, aggregate or fold may know more than it could have known.")
def audit(name: str, session: dict) -> str:
    from pipelines.training import stage

    with work() as w:
        return tell("audit", stage.inspect(w.warehouse, w.settings, w.line(name), stage.Session.from_dict(session)))


@task(pool=ML_POOL, map_index_template="worker {{ task.op_kwargs.worker }}",
      doc_md="This worker's share of the trials; stops when the study holds enough finished ones.")
def trials(name: str, session: dict, worker: int) -> int:
    from pipelines.training import stage

    with work() as w:
        session = stage.Session.from_dict(session)
        return tell("trials run", stage.run_trials(w.warehouse, w.settings, w.line(name), session, worker))


@task(pool=ML_POOL, doc_md="Evidence, final fit, plots, model card, registration; the request is served.")
def conclude(name: str, session: dict) -> Json:
    from pipelines.training import stage

    with work() as w:
        session = stage.Session.from_dict(session)
        candidate = stage.conclude(w.warehouse, w.settings, w.line(name), session, at=w.at)
        MlflowRunLink.push(w.settings, candidate.run_id)
        w.announce(assets.candidate(name), [f"v{candidate.version}"], family=candidate.family, run=candidate.run_id)
        return tell("candidate", candidate)


@task(doc_md="Only after a failure: the MLflow run ends FAILED with the cause, the request is settled.")
def close(request: dict, session: dict | None, candidate: dict | None) -> None:
    from tidemark_airflow import training

    with work() as w:
        training.close(w, request, session, candidate)


for line in asked_for(lines()):
    with DAG(
        schedule=PartitionedAssetTimetable(assets=assets.retrain(line.name)), params=train_params(),
        **dag_defaults("train", title="Train", doc=__doc__, tags={"training"}, line=line),
    ):
        request = claim(line.name)
        session = open_training(line.name, request)
        searched = trials.partial(name=line.name, session=session).expand(worker=list(range(line.workers)))
        concluded = conclude.override(outlets=[assets.candidate(line.name)])(line.name, session)
        [audit(line.name, session), searched] >> concluded
        close(request, session, concluded).as_teardown(setups=request)
        for linked in (session, concluded):
            linked.operator.operator_extra_links = (MlflowRunLink(),)
