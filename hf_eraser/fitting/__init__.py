"""Fitting a steering adapter: examples -> capture -> directions and gates -> calibration -> adapter and report."""

from .augment import Augmentation
from .fitter import fit
from .report import FitReport


__all__ = ["Augmentation", "FitReport", "fit"]
