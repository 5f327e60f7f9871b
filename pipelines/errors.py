"""One error tree. Every error says whether trying again can help, and every message names the remedy."""

from __future__ import annotations


class TidemarkError(Exception):
    """Root of every error Tidemark raises on purpose.

    ``retryable`` tells a scheduler whether the same call, unchanged, may succeed later.
    """

    retryable: bool = False


class ConfigError(TidemarkError):
    """A setting or a line's TOML is wrong; the message names the key and the remedy."""


class DataError(TidemarkError):
    """Input that cannot be used as a whole (a single bad row goes to quarantine instead)."""


class ContractError(DataError):
    """A frame or record does not have the columns, types or zones its contract asks for."""


class SourceError(TidemarkError):
    """A provider failed for good: wrong address, refused credentials, changed shape."""


class SourceUnavailable(SourceError):
    """A provider failed for now: time-out, rate limit, server error."""

    retryable = True


class NotReady(TidemarkError):
    """An input that this partition needs has not arrived yet."""

    retryable = True


class InsufficientData(TidemarkError):
    """There is too little history for what was asked; the message says how much is needed."""


class StoreError(TidemarkError):
    """The warehouse or the snapshot store refused."""


class StoreUnavailable(StoreError):
    """The warehouse cannot be reached right now."""

    retryable = True


class Conflict(StoreError):
    """Somebody else changed the ledger first (compare-and-swap lost); read again and decide again."""

    retryable = True


class IntegrityError(StoreError):
    """Stored bytes do not match their digest."""


class TrainingError(TidemarkError):
    """A training cannot finish, and the same inputs will fail again."""


class LeakFound(TrainingError):
    """The leak audit has found a column that knows too much; the message names it and its first offending time."""


class RegistryError(TidemarkError):
    """A registry operation that makes no sense: unknown version, nothing to roll back to."""


class UnsafeArtifact(RegistryError):
    """A model file whose format or types are not on our list; it is never loaded."""


class TrackingUnavailable(TidemarkError):
    """The MLflow server cannot be reached right now."""

    retryable = True


class ChannelError(TidemarkError):
    """A channel of notifications refuses: wrong address, refused credentials, a message it does not take."""


class ChannelUnavailable(ChannelError):
    """A channel cannot be reached right now; what it was to tell is kept and sent later.

    ``wait``: seconds that its server asked for; None: it did not say.
    """

    retryable = True

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait
