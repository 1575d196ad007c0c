"""What a steering adapter's configuration says, checked without PEFT: a server that has no use for it reads it too."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from .config_file import BRIEF
from .printable import printable


Readout = Literal["last", "prompt", "image", "text", "joined"]

GateMode = Literal["calibrated", "linear", "always"]

Positions = Literal["last", "prompt"]

READOUTS: tuple[Readout, ...] = get_args(Readout)

GATE_MODES: tuple[GateMode, ...] = get_args(GateMode)

POSITIONS: tuple[Positions, ...] = get_args(Positions)

# The largest number in float16: what steers must be added to a residual stream in half precision.
LARGEST = 65504.0

# What no fitted adapter comes near: `fit` tries strengths up to 64, and a rank is the number of what is forgotten,
# each of which costs time in every forward pass.
STRONGEST = 256.0
MOST_DIRECTIONS = 256

# Tokens of a fixed answer.
LONGEST_ANSWER = 512


def readout_width(readout: Readout, hidden_size: int) -> int:
    """How many numbers a readout gives of a residual stream of this width."""
    return 2 * hidden_size if readout == "joined" else hidden_size


def steered_in_words(positions: str, steer_decode: bool) -> str:
    """Which tokens are steered, for people to read."""
    prompt = "last prompt token" if positions == "last" else "prompt"
    return f"{prompt} and answer" if steer_decode else f"{prompt} only"


def gate_layers_in_words(gate_layer: int | None, text_gate_layer: int | None) -> str:
    """Where the gate reads, for people to read."""
    if gate_layer is None:
        return "each steered layer"
    text = "" if text_gate_layer in (None, gate_layer) else f" (text only: {text_gate_layer})"
    return f"layer {gate_layer}{text}"


Config = TypeVar("Config", bound="SteeringFields")


@dataclass
class SteeringFields:
    """
    The fields of `SteeringAdapterConfig`, which describes them. PEFT's own are declared by whoever inherits: by PEFT,
    or by `StoredConfig`.
    """

    layers_to_transform: list[int] | int | None = field(
        default=None, metadata={"help": "Steered decoder layers; negative counts from the end, None means all."}
    )
    gate_layer: int | None = field(
        default=None, metadata={"help": "Layer whose output decides; None gives each steered layer its own gate."}
    )
    readout: Readout = field(
        default="prompt", metadata={"help": "What the gate reads: 'last', 'prompt', 'image', 'text' or 'joined'."}
    )
    text_gate_layer: int | None = field(
        default=None, metadata={"help": "Layer whose output decides about text-only prompts; None means `gate_layer`."}
    )
    text_readout: Readout | None = field(
        default=None, metadata={"help": "What the gate reads in a prompt without an image; None means `readout`."}
    )
    gate: GateMode = field(
        default="calibrated", metadata={"help": "How a score becomes a gate: 'calibrated', 'linear' or 'always'."}
    )
    strength: float = field(default=1.0, metadata={"help": "Factor of the direction."})
    rank: int = field(default=1, metadata={"help": "Number of directions a layer."})
    positions: Positions = field(
        default="prompt", metadata={"help": "Steered tokens of the prompt: its 'last' one, or the whole 'prompt'."}
    )
    steer_decode: bool = field(default=True, metadata={"help": "Whether generated tokens are steered too."})
    answer: str | None = field(default=None, metadata={"help": "What is put out word for word where a gate is open."})
    answer_ids: list[int] | None = field(default=None, metadata={"help": "The tokens of `answer`, with its end."})
    hidden_size: int | None = field(default=None, metadata={"help": "Width of the base model's residual stream."})
    num_hidden_layers: int | None = field(default=None, metadata={"help": "Number of the base model's layers."})
    base_model_type: str | None = field(default=None, metadata={"help": "`model_type` of the base model."})
    base_precision: str | None = field(default=None, metadata={"help": "Dtype and quantisation of the base model."})

    def check(self) -> None:
        """
        Raises:
            ValueError: If a field has a value that it cannot have, or if two fields contradict each other.
        """
        if _is_int(self.layers_to_transform):
            self.layers_to_transform = [self.layers_to_transform]  # type: ignore[list-item]
        self._check_layers()
        if self.readout not in READOUTS:
            raise ValueError(f"`readout` must be one of {READOUTS}, got {reprlib.repr(self.readout)}.")
        if self.text_readout not in (None, *READOUTS):
            raise ValueError(
                f"`text_readout` must be None or one of {READOUTS}, got {reprlib.repr(self.text_readout)}."
            )
        if self.gate not in GATE_MODES:
            raise ValueError(f"`gate` must be one of {GATE_MODES}, got {reprlib.repr(self.gate)}.")
        if self.positions not in POSITIONS:
            raise ValueError(f"`positions` must be one of {POSITIONS}, got {reprlib.repr(self.positions)}.")
        if not (_is_int(self.strength) or isinstance(self.strength, float)) or not 0 <= self.strength <= STRONGEST:
            raise ValueError(
                f"`strength` must be a finite number of at least 0 and at most {STRONGEST:g}, got "
                f"{reprlib.repr(self.strength)}. A negative strength would steer towards what is to be forgotten."
            )
        for name in ("rank", "hidden_size", "num_hidden_layers"):
            value = getattr(self, name)
            if not (_is_int(value) and value >= 1) and (value is not None or name == "rank"):
                raise ValueError(f"`{name}` must be a whole number of at least 1, got {reprlib.repr(value)}.")
        if self.rank > MOST_DIRECTIONS:
            raise ValueError(
                f"`rank` must be at most {MOST_DIRECTIONS}, got {reprlib.repr(self.rank)}: each direction costs time "
                "in every forward pass. Forget more by several adapters, or with one concept for several of them."
            )
        if getattr(self, "task_type", None) in ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"):
            raise ValueError(
                f"`task_type` must be one of a model that gives answers, got {getattr(self, 'task_type', None)!r}."
            )
        for name in ("steer_decode", "inference_mode"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"`{name}` must be True or False, got {reprlib.repr(getattr(self, name))}.")
        for name in ("base_model_name_or_path", "revision", "base_model_type", "base_precision"):
            if not isinstance(getattr(self, name), (str, type(None))):
                raise ValueError(f"`{name}` must be text or None, got {reprlib.repr(getattr(self, name))}.")
        self._check_answer()
        mapping = getattr(self, "auto_mapping", None)
        if not isinstance(mapping, (dict, type(None))):
            raise ValueError(f"`auto_mapping` must be a dict or None, got {reprlib.repr(mapping)}.")

    def _check_answer(self) -> None:
        ids = self.answer_ids
        if (self.answer is None) != (ids is None):
            raise ValueError(
                f"`answer` and `answer_ids` belong together, got {BRIEF.repr(self.answer)} and {BRIEF.repr(ids)}."
            )
        if ids is None:
            return
        if not isinstance(self.answer, str) or not self.answer.strip():
            raise ValueError(f"`answer` must be a text that is not empty, or None, got {BRIEF.repr(self.answer)}.")
        right = isinstance(ids, (list, tuple)) and 1 <= len(ids) <= LONGEST_ANSWER
        if not right or not all(_is_int(token) and token >= 0 for token in ids):
            raise ValueError(f"`answer_ids` must be a list of 1 to {LONGEST_ANSWER} token ids, got {BRIEF.repr(ids)}.")
        self.answer_ids = list(ids)

    def _check_layers(self) -> None:
        layers = self.layers_to_transform
        if layers is not None:
            if not isinstance(layers, (list, tuple)) or not layers or not all(_is_int(layer) for layer in layers):
                raise ValueError(
                    "`layers_to_transform` must be a layer number or a list of at least one, got "
                    f"{reprlib.repr(layers)}."
                )
            self.layers_to_transform = list(layers)
            if len(set(layers)) != len(layers):
                raise ValueError(f"`layers_to_transform` names a layer twice: {reprlib.repr(layers)}.")
        for name in ("gate_layer", "text_gate_layer"):
            value = getattr(self, name)
            if value is not None and not _is_int(value):
                raise ValueError(f"`{name}` must be a layer number or None, got {reprlib.repr(value)}.")
        if self.gate_layer is None and self.text_gate_layer is not None:
            raise ValueError(
                f"`text_gate_layer`={self.text_gate_layer} needs a `gate_layer`: without one each steered layer has a "
                "gate of its own, for prompts of text only as well."
            )

    @property
    def gate_width(self) -> int:
        """The length of a gate vector; the configuration has to be resolved."""
        assert self.hidden_size is not None
        return max(
            readout_width(readout or self.readout, self.hidden_size) for readout in (self.readout, self.text_readout)
        )

    @property
    def gate_layers(self) -> list[int]:
        """The layers whose output a gate reads, first to last; the configuration has to be resolved."""
        if self.gate_layer is None:
            assert isinstance(self.layers_to_transform, list)
            return self.layers_to_transform
        return sorted({self.gate_layer_of(True), self.gate_layer_of(False)})

    def gate_layer_of(self, has_image: bool) -> int:
        """The one layer that decides about prompts with or without an image; there has to be one."""
        assert self.gate_layer is not None
        return self.gate_layer if has_image or self.text_gate_layer is None else self.text_gate_layer

    def resolved(self: Config, *, hidden_size: int, num_hidden_layers: int) -> Config:
        """
        A copy for a decoder of this width and depth, with every layer number counted from 0.

        Raises:
            ValueError: If the adapter was made for another width or depth, if a layer does not exist, or if a steered
                layer comes before the gate layer.
        """
        for name, own, model in (
            ("hidden_size", self.hidden_size, hidden_size),
            ("num_hidden_layers", self.num_hidden_layers, num_hidden_layers),
        ):
            if own is not None and own != model:
                base = getattr(self, "base_model_name_or_path", None)
                raise ValueError(
                    f"The adapter was made for a base model with {name}={own}, this model has {name}={model}. Load it "
                    f"into the model that it was fitted on ({printable(base or 'not recorded')})."
                )

        def from_start(layer: int, argument: str) -> int:
            if not -num_hidden_layers <= layer < num_hidden_layers:
                raise ValueError(
                    f"`{argument}` names layer {reprlib.repr(layer)}, the decoder has layers 0 to "
                    f"{num_hidden_layers - 1} (or -{num_hidden_layers} to -1)."
                )
            return layer % num_hidden_layers

        gate_layers = {
            name: from_start(value, name)
            for name, value in (("gate_layer", self.gate_layer), ("text_gate_layer", self.text_gate_layer))
            if value is not None
        }
        last_gate = max(gate_layers, key=lambda name: gate_layers[name], default=None)
        first = 0 if last_gate is None else gate_layers[last_gate]
        if self.layers_to_transform is None:
            layers = list(range(first, num_hidden_layers))
        else:
            assert isinstance(self.layers_to_transform, list)
            layers = sorted({from_start(layer, "layers_to_transform") for layer in self.layers_to_transform})
        if layers[0] < first:
            raise ValueError(
                f"Steered layer {layers[0]} comes before `{last_gate}`={first}, whose decision it needs. Steer "
                f"layers from {first} on, or read the gate earlier."
            )
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values |= {
            "layers_to_transform": layers,
            **gate_layers,
            "hidden_size": hidden_size,
            "num_hidden_layers": num_hidden_layers,
        }
        return type(self)(**values)


@dataclass
class StoredConfig(SteeringFields):
    """A configuration as it is stored, for who reads it without PEFT, with PEFT's keys."""

    peft_type: str | None = None
    peft_version: str | None = None
    task_type: str | None = None
    auto_mapping: dict[str, Any] | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    inference_mode: bool = False

    def __post_init__(self) -> None:
        self.check()


def _is_int(value: object) -> bool:
    # In Python, True is an int.
    return isinstance(value, int) and not isinstance(value, bool)
