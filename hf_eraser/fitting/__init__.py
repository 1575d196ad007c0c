"""Fitting a steering adapter: examples -> capture -> directions and gates -> calibration -> adapter and report."""

from .adversarial import PGD, AdversarialExample, perturb
from .augment import Augmentation
from .fitter import fit
from .report import FitReport


__all__ = ["PGD", "AdversarialExample", "Augmentation", "FitReport", "fit", "perturb"]
