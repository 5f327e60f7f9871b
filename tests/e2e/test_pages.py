"""A real Chromium logs in to both UIs and finds what the story left there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Played

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(1800),
              pytest.mark.skipif(CHROMIUM is None, reason="no chromium; install Debian's package to run browser tests")]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def airflow_page(browser, played: Played) -> Iterator:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(played.settings.require("airflow_url"))
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(played.settings.require("airflow_password"))
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "login" not in url, timeout=60_000)
    yield page
    context.close()


@pytest.fixture
def mlflow_page(browser, played: Played) -> Iterator:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, http_credentials={
        "username": "admin", "password": played.settings.require("mlflow_password")})
    yield context.new_page()
    context.close()


def test_airflow_shows_the_dags_and_their_runs(airflow_page, played: Played, pictures: Path) -> None:
    url = played.settings.require("airflow_url")
    airflow_page.goto(f"{url}/dags")
    for dag_id in ("bootstrap", "build_features"):  # the first of the list, which shows a screenful
        airflow_page.locator(f"a[href='/dags/{dag_id}']").first.wait_for(state="attached", timeout=60_000)
        runs = airflow_page.locator(f"a[href^='/dags/{dag_id}/runs/']")
        runs.first.wait_for(state="attached", timeout=60_000)
        assert runs.count() >= 1
    airflow_page.screenshot(path=str(pictures / "dags.png"))


def test_mlflow_shows_the_training_its_metrics_and_plots(mlflow_page, played: Played, pictures: Path) -> None:
    url = played.settings.require("mlflow_url")
    mlflow_page.goto(f"{url}/#/experiments")
    mlflow_page.get_by_text("tidemark/direction_1h").first.wait_for(timeout=60_000)
    champion = next(row for row in played.summary["models"] if row["line"] == "direction_1h")
    mlflow_page.goto(champion["run"])
    mlflow_page.get_by_text("oos.auc").first.wait_for(timeout=60_000)
    mlflow_page.screenshot(path=str(pictures / "run.png"))
    mlflow_page.goto(champion["run"] + "/artifacts")
    mlflow_page.get_by_text("plots").first.wait_for(timeout=60_000)
    for folder in ("plots", "tables", "audit"):
        assert mlflow_page.get_by_text(folder, exact=True).first.is_visible()
    mlflow_page.screenshot(path=str(pictures / "artifacts.png"))


def test_mlflow_shows_the_registered_model_with_its_champion(mlflow_page, played: Played, pictures: Path) -> None:
    mlflow_page.goto(f"{played.settings.require('mlflow_url')}/#/models/tidemark.direction_1h")
    mlflow_page.get_by_text("champion").first.wait_for(timeout=60_000)
    assert mlflow_page.get_by_text("Version 1").first.is_visible()
    mlflow_page.screenshot(path=str(pictures / "model.png"))
