"""The ledger: who asked for a training, what came of it, what the gate and people said, who is champion.

Every function takes an open connection, so that callers decide what belongs to one transaction. Times are arguments:
``at`` is the wall clock of the caller (recorded), ``as_of`` and ``effective_at`` are data time.
"""

from __future__ import annotations

from pipelines.store.ledger.candidates import (
    add_candidate,
    add_verdict,
    approval,
    candidate,
    candidates,
    decide_approval,
    last_candidate,
    last_training,
    latest_verdict,
    unjudged,
    verdicts,
)
from pipelines.store.ledger.costs import add_step, cost_of_run, costs_of_requests, costs_of_runs, recipes
from pipelines.store.ledger.promotions import append_promotion, champion, history, lock
from pipelines.store.ledger.requests import (
    claim_request,
    finish_request,
    join_request,
    open_rows,
    release_request,
    request_retrain,
    requests,
)
from pipelines.store.ledger.shadow import add_look, last_word, looks

__all__ = ["add_candidate", "add_look", "add_step", "add_verdict", "append_promotion", "approval", "candidate",
           "candidates", "champion", "claim_request", "cost_of_run", "costs_of_requests", "costs_of_runs",
           "decide_approval", "finish_request", "history", "join_request", "last_candidate", "last_training",
           "last_word", "latest_verdict", "lock", "looks", "open_rows", "recipes", "release_request",
           "request_retrain", "requests", "unjudged", "verdicts"]
