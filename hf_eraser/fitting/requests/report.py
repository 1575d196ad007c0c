"""What came of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..report.results import Calibration, GateResult


@dataclass
class RequestReport:
    """
    What came of a request.

    Attributes:
        requests: How many requests there are now.
        gates: The gates of this one, judged on held-out examples before all thresholds were set together.
        calibration: How all gates together came out, by modality.
        refused: The share of its prompts, as they are, that the model refuses with all requests attached.
        seconds: How long it took.
        warnings: Why not to trust it, in words.
    """

    requests: int
    gates: list[GateResult]
    calibration: dict[str, Calibration]
    refused: float
    seconds: float
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"Request {self.requests}: refuses {self.refused:.1%} of its prompts, {self.seconds:.1f} s"]
        lines += [
            f"  {modality}: all gates open for {found.forget_rate:.1%} of held-out forget prompts and "
            f"{found.false_rate:.1%} of retained ones ({found.n_groups} groups, alpha {found.alpha:.3g})"
            for modality, found in self.calibration.items()
        ]
        return "\n".join([*lines, *(f"  Warning: {text}" for text in self.warnings)])
