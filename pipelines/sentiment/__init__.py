"""Documents to scores, mentions and aggregates, all as of the time a document became available."""

from pipelines.sentiment.scorer import score

__all__ = ["score"]
