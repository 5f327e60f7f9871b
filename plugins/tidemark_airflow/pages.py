"""The data-quality pages, served by Airflow's API server to those who may see its DAGs.

Airflow loads the plugin in every process, so what a web page needs is imported when the first one is asked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

PREFIX = "/tidemark"
#: A report is a document: it may load nothing, run nothing and be framed by nobody.
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
           "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application that the plugin mounts under ``PREFIX``."""
    await _application()(scope, receive, send)


@lru_cache(maxsize=1)
def _application() -> Any:
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import FileResponse

    from pipelines.config import settings
    from pipelines.ingest.quality_files import find

    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    # Nobody asks for a DAG here, so being allowed to read DAGs at all is what counts.
    @application.get("/quality/{source}/{page}", dependencies=[Depends(requires_access_dag("GET"))])
    def quality(source: str, page: str) -> FileResponse:
        path = find(settings().quality_root, source, page)
        if path is None:
            raise HTTPException(404, "there is no such data-quality report; `tidemark quality` makes one")
        return FileResponse(path, headers=HEADERS)

    return application


def page_address(airflow_url: str | None, page: str) -> str:
    """Where a report's page (a path ``.../<source>/<name>.html``) is served; without a known address, on the same
    server as the link."""
    source, name = page.split("/")[-2:]
    return f"{(airflow_url or '').rstrip('/')}{PREFIX}/quality/{source}/{name}"
