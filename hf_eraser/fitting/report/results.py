"""The numbers of a report: what gates, trials and attacks gave on held-out examples."""

from __future__ import annotations

from dataclasses import dataclass

from ...tuner.fields import Positions
from ...tuner.gate import Modality


@dataclass
class GateResult:
    """
    One gate that was tried, judged on held-out examples.

    Attributes:
        layer: The decoder layer that it reads.
        readout: What it reads there.
        modality: The prompts that it is for: with an image, or text only.
        parameter: The ridge, or the share of directions or of energy that the null space takes.
        auc: Probability that a forget example scores above a retained one.
        forget_rate: Share of forget examples above the conformal threshold.
        false_rate: Share of retained examples above it, each group counted once.
        margin: Distance from the threshold to the weakest forget examples, in standard deviations of retained scores.
            For an alpha below 0.05 it is from the threshold of twice that, at most of 0.05.
        leak: Share of the norm of held-out retained readouts that the null space lets through; None for the ridge.
        concept: The number of what it is to recognise, where the examples name several things.
        general_share: Of the retained class that fitted it, the share of general traffic.
    """

    layer: int
    readout: str
    modality: Modality
    parameter: float
    auc: float
    forget_rate: float
    false_rate: float
    margin: float
    leak: float | None = None
    concept: int | None = None
    general_share: float = 0.0


@dataclass
class Calibration:
    """
    How the thresholds of one modality came about. Of several concepts' gates together, it counts which forget examples
    open the gate of their concept and which retained ones open any.

    Attributes:
        n_groups: Retained groups that calibrated them.
        alpha: The level that was used.
        supported_alpha: The smallest level that so many groups can support.
        low, high: The gate's bounds; nan for several gates together.
        forget_rate: Share of held-out forget examples whose gate opens.
        false_rate: Share of held-out retained examples whose gate opens, each group counted once.
        general_rate: Share of held-out general prompts for which a gate opens; None without any.
    """

    n_groups: int
    alpha: float
    supported_alpha: float
    low: float
    high: float
    forget_rate: float
    false_rate: float
    general_rate: float | None = None


@dataclass
class OperatingPoint:
    """
    What thresholds of one modality would give that let a share of held-out forget examples of each concept through.

    Attributes:
        modality: The prompts, with an image or text only.
        forget_rate: Share of held-out forget examples whose gate would open.
        false_rate: Share of held-out retained examples for which any would, each group counted once.
        general_rate: Share of held-out general prompts for which any would; None without any.
    """

    modality: Modality
    forget_rate: float
    false_rate: float
    general_rate: float | None


@dataclass
class GateScores:
    """
    What held-out examples score at one of the chosen gates. On this scale 0 is an average retained example, 1 an
    average forget one. Nothing tells which example a number belongs to: scores are sorted, and of many some are left
    out.

    Attributes:
        layer, readout, modality, parameter, concept: The gate, as in `GateResult`.
        low, high: Its bounds: it is closed up to `low` and open from `high` on.
        forget, retained: Scores, ascending; of more than 256 as many, evenly spread from the lowest to the highest.
        forget_points, retained_points: At most 120 readouts, drawn at random, as pairs: the score, and the place
            along the first principal component of what the score does not see, in standard deviations.
    """

    layer: int
    readout: str
    modality: Modality
    parameter: float
    low: float
    high: float
    forget: list[float]
    retained: list[float]
    forget_points: list[list[float]]
    retained_points: list[list[float]]
    concept: int | None = None


@dataclass
class ConceptResult:
    """
    One thing that is forgotten, with a direction and a gate of its own.

    Attributes:
        concept: Its number, in the order in which the forget set names them; None where it names none, and all is one.
            The name itself, which may be a person's, is not kept.
        base_refusal_rate: Share of its refusal examples that the base model refuses.
        forced_refusal: The refusal that was put into the model's mouth to find the direction, because it refuses too
            few of them; None where the refusal examples showed it.
        calibration: Its thresholds, by modality.
    """

    concept: int | None
    base_refusal_rate: float
    forced_refusal: str | None
    calibration: dict[str, Calibration]


@dataclass
class Trial:
    """
    One setting of layers, tokens and strength that was tried on held-out forget examples.

    Attributes:
        layers: The steered layers.
        strength: The strength.
        steer_decode: Whether generated tokens were steered too.
        refused: Share of answers that are refusals.
        answered: Share of answers that still hold what was to be forgotten; None where no answers are known.
        positions: Which tokens of the prompt were steered.
        fluency: How likely the base model finds the answers, against its own refusals, at most 1; None where it was
            not measured.
        count: How many examples; None where it was not noted.
        begun: Share of answers that hold it where the answer was begun already; None where that was not tried.
    """

    layers: list[int]
    strength: float
    steer_decode: bool
    refused: float
    answered: float | None
    positions: Positions = "prompt"
    fluency: float | None = None
    count: int | None = None
    begun: float | None = None


#: The kinds of attack that change the picture and not the words.
CHANGED_PICTURE, PERTURBED_PICTURE = "picture changed harder", "PGD against the gate"


@dataclass
class AttackResult:
    """
    One kind of attack on the gate, tried on held-out forget examples.

    Attributes:
        kind: What was done; `"none"` for the questions as they are.
        modality: The prompts, with an image or text only.
        count: How many.
        opened: Share of them for which the gate opened; None where the attack could not be tried.
        answered: Share of answers that still hold what was to be forgotten; None where no answers are known.
        note: Why it could not be tried.
        worst: Of several concepts, `answered` of the one that is forgotten least; None where there is one, or few
            examples of each.
    """

    kind: str
    modality: str
    count: int
    opened: float | None
    answered: float | None
    note: str = ""
    worst: float | None = None
