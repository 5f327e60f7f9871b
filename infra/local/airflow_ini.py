"""Airflow's configuration for the embedded stack, with the reason for each value that is not the default."""

from __future__ import annotations

import configparser
import io
from pathlib import Path

from infra.local.paths import Home
from infra.local.ports import HOST
from infra.local.secrets import Secrets
from pipelines.config import ROOT

USERNAME = "admin"
POOL, POOL_SLOTS = "ml", 2


def options(home: Home, secrets: Secrets, port: int, database_url: str) -> dict[str, dict[str, str]]:
    """Section → option → value of ``airflow.cfg``. Times are seconds."""
    url = f"http://{HOST}:{port}"
    return {
        "core": {
            "dags_folder": str(ROOT / "dags"),
            "plugins_folder": str(ROOT / "plugins"),
            "executor": "LocalExecutor",
            "mp_start_method": "fork",  # tasks share what the scheduler has imported
            "parallelism": "8",
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",
            "fernet_key": secrets.airflow_fernet_key,
            "simple_auth_manager_users": f"{USERNAME}:admin",
            "simple_auth_manager_passwords_file": str(home.airflow / "passwords.json"),
            "execution_api_server_url": f"{url}/execution/",
            "hostname_callable": "socket.gethostname",  # no DNS question that may take seconds
            "dagbag_import_timeout": "120",  # two busy cores
            "min_serialized_dag_update_interval": "10",
            "killed_task_cleanup_time": "15",
            "lazy_load_plugins": "True",
        },
        "database": {"sql_alchemy_conn": database_url},
        "api": {
            "host": HOST,  # the default is every interface
            "port": str(port),
            "base_url": url,
            "workers": "1",
            "secret_key": secrets.airflow_secret_key,
            "instance_name": "Tidemark",
        },
        "api_auth": {"jwt_secret": secrets.airflow_jwt_secret},
        "scheduler": {
            "scheduler_idle_sleep_time": "0.1",  # 1.0 costs a second between any two tasks
            "orphaned_tasks_check_interval": "10",  # the default leaves tasks of a killed scheduler for 5 minutes
            "enable_health_check": "False",  # another open port; the api-server tells
        },
        "workers": {
            "min_heartbeat_interval": "1",  # 5 makes short tasks wait for their end to be seen
            "max_failed_heartbeats": "30",  # at one a second: outlive a restart of the api-server
            "execution_api_timeout": "30",
        },
        "dag_processor": {
            "refresh_interval": "10",
            "bundle_refresh_check_interval": "5",
            "min_file_process_interval": "60",  # a changed file is seen at once; this is for changed lines
            "dag_file_processor_timeout": "180",
            "dag_bundle_storage_path": str(home.airflow / "bundles"),
        },
        "logging": {
            "base_log_folder": str(home.airflow / "logs"),
            "dag_processor_child_process_log_directory": str(home.airflow / "logs" / "dag_processor"),
            "colored_console_log": "False",
            # One line per request and per DAG at each parse would bury the lines that tell why something died.
            "namespace_levels": "http.access=WARNING airflow.models.dag=WARNING "
                                "airflow.serialization.definitions.dag=WARNING",
        },
    }


def render(sections: dict[str, dict[str, str]]) -> str:
    """The text of ``airflow.cfg``; a literal % is doubled, as its parser asks for."""
    parser = configparser.RawConfigParser()
    for section, values in sections.items():
        parser[section] = {key: value.replace("%", "%%") for key, value in values.items()}
    buffer = io.StringIO()
    parser.write(buffer)
    return buffer.getvalue()


def path(home: Home) -> Path:
    return home.airflow / "airflow.cfg"
