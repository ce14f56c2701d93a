"""Predict what a model costs on a device that is not here, and check how well that goes."""

from explorer.prediction.predictor import LatencyPredictor, Sample, Scaling, fit
from explorer.prediction.transfer import TransferredPredictor, calibrate, plan, transfer

__all__ = [
    "LatencyPredictor",
    "Sample",
    "Scaling",
    "TransferredPredictor",
    "calibrate",
    "fit",
    "plan",
    "transfer",
]
