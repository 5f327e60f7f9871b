"""Names of the MLflow tags that rooms hand to each other. Training writes them; registry and serving read them.

On every training run and, with the model's own, on every model version. Values are strings; times ISO 8601 UTC.
"""

from __future__ import annotations

LINE = "tidemark.line"
KIND = "tidemark.kind"  # "training" or "trial"
REQUEST = "tidemark.request_id"
REASON = "tidemark.reason"
AS_OF = "tidemark.as_of"
SNAPSHOT = "tidemark.snapshot_digest"
EVIDENCE = "tidemark.evidence_digest"
SEARCH = "tidemark.search_digest"
AUDIT = "tidemark.audit"  # "passed" once the leak audit has found nothing
GIT_COMMIT = "tidemark.git_commit"
LOCK = "tidemark.lock_digest"
#: What the code ran on: ``3.11.9`` and ``Linux x86_64``.
PYTHON = "tidemark.python"
PLATFORM = "tidemark.platform"
SEED = "tidemark.seed"
#: Version of the feature list and a digest of what it declared: ``1-3f2a9c01b7de``.
FEATURES = "tidemark.features"
STUDY = "tidemark.study"
TRIALS = "tidemark.trials"
RUN = "tidemark.run_id"
FAMILY = "tidemark.family"
TRAINED_THROUGH = "tidemark.trained_through"
THRESHOLD = "tidemark.threshold"  # of a line that learns from trades: TAKE from it on
FAILURE = "tidemark.failure"  # why a run is FAILED
#: SHA-256 of the model file itself (model.ubj, model.lgb, model.skops): checked before it is opened.
MODEL_FILE = "tidemark.model_file_sha256"
#: SHA-256 of what was learned, whatever the container: equal for a faithful reproduction.
MODEL_CONTENT = "tidemark.model_content_sha256"
#: Written by the registry. What a version is now (``registry.standing.State``); the gate's outcome and its reasons.
STATE = "tidemark.state"
VERDICT = "tidemark.verdict"
VERDICT_REASONS = "tidemark.verdict_reasons"
