"""What the api-server needs before work is sent to it."""

from __future__ import annotations

import json

from infra.local import airflow_ini
from infra.local.health import fetch
from pipelines.errors import StoreUnavailable

#: Seconds: the first answers build models and routes, on a busy machine slowly.
PATIENCE = 60.0


def api_server(url: str, username: str, password: str) -> None:
    """Make the Execution API answer once, and the pool that bounds how many trainings run side by side.

    Raises:
        StoreUnavailable: it answers with an error.
    """
    fetch(f"{url}/execution/health", PATIENCE)
    status, body = fetch(f"{url}/auth/token", PATIENCE, method="POST",
                         body={"username": username, "password": password})
    if status != 201:
        raise StoreUnavailable(f"the Airflow on {url} refuses our login ({status}); is another Airflow on that port?")
    token = json.loads(body)["access_token"]
    status, _ = fetch(f"{url}/api/v2/pools/{airflow_ini.POOL}", PATIENCE, token=token)
    if status == 200:  # it is there, with whatever number of slots somebody has given it
        return
    status, body = fetch(f"{url}/api/v2/pools", PATIENCE, method="POST", token=token, body={
        "name": airflow_ini.POOL, "slots": airflow_ini.POOL_SLOTS,
        "description": "heavy work: one slot per core that a model may use"})
    if status not in (201, 409):
        raise StoreUnavailable(f"Airflow does not make the pool {airflow_ini.POOL!r}: {status} {body[:300]!r}")
