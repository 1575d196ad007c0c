"""
Requests to forget, one after the other: what was `kept` of the retain set, a request's own gates (`solving`), all of
them on a model (`attaching`).
"""

from .report import RequestReport
from .requests import Requests


__all__ = ["RequestReport", "Requests"]
