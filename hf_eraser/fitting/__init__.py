"""
Fitting: from forget and retain examples to an adapter and a report.

Examples and their views (`reading`) -> `gates` and `directions` -> layers and strength (`steering`) -> what is held
against them (`attacks`) -> adapter and `report`. What only uses an adapter never imports this room.
"""

from .attacks.pgd import PGD, AdversarialExample, perturb
from .fitter import fit
from .reading.augmentation import Augmentation
from .recalibration import Recalibration, recalibrate
from .report.report import FitReport, ForgettingError
from .requests import RequestReport, Requests


__all__ = [
    "PGD",
    "AdversarialExample",
    "Augmentation",
    "FitReport",
    "ForgettingError",
    "Recalibration",
    "RequestReport",
    "Requests",
    "fit",
    "perturb",
    "recalibrate",
]
