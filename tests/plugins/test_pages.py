"""The data-quality pages behind Airflow's own login."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import inspect

from pipelines.config import Settings
from pipelines.contracts.window import Window
from pipelines.ingest import quality_files, quality_report
from tidemark_airflow import pages
from tidemark_airflow.links import QualityLink
from tidemark_airflow.plugin import TidemarkPlugin

DAY = Window.day("2024-03-01")


@pytest.fixture
def served(offline: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The plugin's applications, mounted as the API server mounts them, with one report."""
    quality_files.write(offline.quality_root, quality_report.build("simulator", DAY, {}))
    (tmp_path / "secret.html").write_text("secret")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "x" * 64)
    pages._application.cache_clear()
    server = FastAPI()
    for application in TidemarkPlugin.fastapi_apps:
        server.mount(application["url_prefix"], application["app"])
    with TestClient(server) as client:
        yield client
    pages._application.cache_clear()


@pytest.fixture
def token() -> Iterator[str]:
    """Of somebody who has logged in, by Airflow's own simple auth manager. Of Airflow's database, a login needs one
    table."""
    from airflow import settings as airflow
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.models.revoked_token import RevokedToken

    engine = airflow.get_engine()
    there = inspect(engine).has_table(RevokedToken.__tablename__)
    RevokedToken.__table__.create(engine, checkfirst=True)
    manager = create_auth_manager()
    yield manager.generate_jwt(SimpleAuthManagerUser(username="ann", role="viewer"))
    if not there:
        RevokedToken.__table__.drop(engine)


PAGE = "/tidemark/quality/simulator/2024-03-01.html"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"Cookie": "_token=nonsense"}])
@pytest.mark.parametrize("path", [PAGE, PAGE.replace("html", "json"), "/tidemark/quality/simulator/none.html"])
def test_nobody_sees_a_report_without_a_login(served: TestClient, token: str, path: str, headers: Any) -> None:
    answer = served.get(path, headers=headers)
    assert answer.status_code in (401, 403)
    assert "Data quality" not in answer.text


@pytest.mark.parametrize("how", ["header", "cookie"])
def test_a_reader_of_dags_sees_it(served: TestClient, token: str, how: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if how == "header" else {"Cookie": f"_token={token}"}
    answer = served.get(PAGE, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>Data quality: simulator</h1>" in answer.text
    assert {name: answer.headers[name] for name in pages.HEADERS} == pages.HEADERS
    assert served.get(PAGE.replace("html", "json"), headers=headers).json()["source"] == "simulator"


@pytest.mark.parametrize("path", [
    "simulator/none.html", "..%2f..%2fsecret.html", "../../secret.html", "%2e%2e/secret.html", "./secret.html",
    "simulator/..%2f..%2fsecret.html", "simulator/%2e%2e%2f%2e%2e%2fsecret.html", "simulator/%00.html", "simulator/",
    ""])
def test_there_is_no_way_out(served: TestClient, token: str, path: str) -> None:
    answer = served.get(f"/tidemark/quality/{path}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_the_api_s_description_is_not_served(served: TestClient) -> None:
    assert [served.get(f"/tidemark/{name}").status_code for name in ("docs", "redoc", "openapi.json")] == [404] * 3


@pytest.mark.parametrize(("url", "expected"), [
    (None, PAGE), ("http://airflow.example/", f"http://airflow.example{PAGE}")])
def test_a_task_links_to_the_report_of_its_last_day(
        url: str | None, expected: str, offline: Settings, in_task: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch) -> None:
    context = in_task("ingest_market")
    settings = offline.model_copy(update={"airflow_url": url})
    written = str(quality_files.write(offline.quality_root, quality_report.build("simulator", DAY, {})))
    QualityLink.push(settings, ["/somewhere/else.html", written])
    monkeypatch.setattr("tidemark_airflow.links.BaseXCom.get_value",
                        lambda *, ti_key, key: context.ti.pushed.get(key))
    assert QualityLink().get_link(None, ti_key=None) == expected  # type: ignore[arg-type]
    context.ti.pushed.clear()
    QualityLink.push(settings, [])
    QualityLink.push(settings, [None])
    assert QualityLink().get_link(None, ti_key=None) == ""  # type: ignore[arg-type]


def test_taking_in_a_day_leaves_a_report_behind_the_link(
        settings: Settings, in_task: Callable[..., Any]) -> None:
    from tidemark_airflow import assets, history
    from tidemark_airflow.context import work

    context = in_task("ingest_text", partition="2024-01-02")
    with work() as w:
        reports = history.take_in(w, assets.DOCUMENTS, "documents")
    page = Path(reports[0].report)
    assert page == settings.quality_root / "simulator" / "2024-01-02_documents.html"
    assert context.ti.pushed == {"quality_page": "/tidemark/quality/simulator/2024-01-02_documents.html"}
    assert quality_files.find(settings.quality_root, "simulator", page.name) == page.resolve()
    assert datetime(2024, 1, 2, tzinfo=UTC) == reports[0].window.start
