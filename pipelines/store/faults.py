"""Where errors of SQLAlchemy and psycopg2 become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy import exc

from pipelines.errors import StoreError, StoreUnavailable

_UNREACHABLE = "run `tidemark status` (or check TIDEMARK_DATABASE_URL), then try again"
_MISSING = "apply the migrations with `tidemark up` (or pipelines.store.migrate.upgrade)"


@contextmanager
def translated() -> Iterator[None]:
    """Map database errors: connections, deadlocks and full disks can heal, refusals cannot.

    Raises:
        StoreUnavailable, StoreError
    """
    try:
        yield
    except exc.TimeoutError as error:
        raise StoreUnavailable(f"no free connection to the warehouse ({_text(error)}); raise TIDEMARK_POOL_SIZE or "
                               "lower the number of parallel tasks") from error
    except exc.DBAPIError as error:
        raise _ours(error.orig or error) from error
    except psycopg2.Error as error:
        raise _ours(error) from error


def _ours(error: BaseException) -> StoreError:
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return StoreUnavailable(f"the warehouse cannot be used right now ({_text(error)}); {_UNREACHABLE}")
    if isinstance(error, psycopg2.errors.UndefinedTable | psycopg2.errors.InvalidSchemaName
                  | psycopg2.errors.UndefinedFunction | psycopg2.errors.UndefinedColumn):
        return StoreError(f"the warehouse lacks what this version needs ({_text(error)}); {_MISSING}")
    if isinstance(error, psycopg2.IntegrityError | psycopg2.DataError):
        return StoreError(f"the warehouse refused the rows ({_text(error)}); correct them, nothing was written")
    return StoreError(f"the warehouse refused ({_text(error)})")


def _text(error: BaseException) -> str:
    """One line, bounded, without the statement."""
    return " ".join(str(error).split())[:400]
