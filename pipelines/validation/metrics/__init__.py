"""What a forecast is worth, under fixed names: classification, the parts of the Brier score, the information
coefficient. Returns after costs are in ``validation.backtest``."""

from pipelines.validation.metrics.binary import BINS, CLIP, NAMES, classification, losses, undefined
from pipelines.validation.metrics.brier import BrierParts, brier_parts
from pipelines.validation.metrics.ranking import InformationCoefficient, information_coefficient

__all__ = ["BINS", "CLIP", "NAMES", "BrierParts", "InformationCoefficient", "brier_parts", "classification",
           "information_coefficient", "losses", "undefined"]
