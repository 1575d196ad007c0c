"""What is stored in an adapter's `adapter_config.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftConfig

from .config_file import read_config
from .fields import SteeringFields
from .peft_type import STEERING


@dataclass
class SteeringAdapterConfig(SteeringFields, PeftConfig):
    """
    Configuration of a steering adapter: which decoder layers are steered, and what decides whether they are.

    Args:
        layers_to_transform (`list[int]` or `int`, *optional*):
            The steered layers of the text decoder, counted from 0; negative numbers count from the end. The default,
            `None`, steers every layer from `gate_layer` on.
        gate_layer (`int`, *optional*):
            The layer whose output the gate reads. One decision then serves all steered layers, none of which may come
            before it. The default, `None`, gives each steered layer a gate of its own, as the paper does.
        text_gate_layer (`int`, *optional*):
            The layer whose output the gate of prompts without an image reads instead; no steered layer may come before
            it either. The default, `None`, means `gate_layer`.
        readout (`str`, defaults to `"prompt"`):
            What the gate reads of the residual stream: `"last"`, the last prompt token (the paper); `"prompt"`, the
            mean over all prompt tokens; `"image"`, the mean over the image's tokens; `"text"`, the mean over the
            prompt's other tokens; `"joined"`, `"last"` and `"prompt"` side by side, by a gate vector of twice the
            width. In a prompt without an image, `"image"` and `"text"` mean `"prompt"`.
        text_readout (`str`, *optional*):
            What the gate reads instead in a prompt without an image, which has a gate vector of its own. The default,
            `None`, means `readout`.
        gate (`str`, defaults to `"calibrated"`):
            How a score becomes a gate: `"calibrated"`, exactly 0 up to a lower bound, 1 from an upper bound on and a
            straight line between; `"linear"`, the score itself where it is positive (the paper, clamped at 0 since a
            negative gate would steer towards recall); `"always"`, 1 for every input.
        strength (`float`, defaults to 1.0):
            What the direction is multiplied by, at most 256. 0 switches the steering off.
        rank (`int`, defaults to 1):
            How many directions a layer holds, each with a gate of its own; at most 256.
        positions (`str`, defaults to `"prompt"`):
            Which tokens of the prompt are steered: `"last"`, its last one only, so that nothing before the decision
            changes; `"prompt"`, all of them (the paper).
        steer_decode (`bool`, defaults to `True`):
            Whether generated tokens are steered as well.
        answer (`str`, *optional*):
            What is put out in place of the model's answer where a gate is open, word for word. The default, `None`,
            leaves the words to the steered model.
        answer_ids (`list[int]`, *optional*):
            The tokens of `answer`, the one that ends it included; given with it, or neither.
        hidden_size (`int`, *optional*):
            Width of the residual stream that the adapter was made for. Filled in when the adapter is attached, and
            compared from then on.
        num_hidden_layers (`int`, *optional*):
            Number of decoder layers that the adapter was made for. Filled in and compared likewise.
        base_model_type (`str`, *optional*):
            `model_type` of the base model's configuration. Filled in by `fit`; an adapter is not loaded into a model
            of another type.
        base_precision (`str`, *optional*):
            What the base model computed in when thresholds were set: its dtype, and how it was quantised. Filled in
            by `fit` and `recalibrate`; loading into another precision warns. `None`: not recorded, not compared.
        revision (`str`, *optional*):
            A field of PEFT's: the commit of the base model on the Hub. Filled in by `fit`, where it is known. Loading
            into another commit warns; `AutoPeftModel` loads the base model at this commit.
        base_model_name_or_path (`str`, *optional*):
            A field of PEFT's: what the base model was loaded by. For a local folder this is its path, by which
            `AutoModelForImageTextToText.from_pretrained(adapter)` finds it again on the same machine; replace it
            by the base model's id before the adapter is published.

    Raises:
        ValueError: If a field has a value that it cannot have, or if two fields contradict each other.

    Example:

        >>> from hf_eraser import SteeringAdapterConfig
        >>> config = SteeringAdapterConfig(layers_to_transform=[10, 12], gate_layer=8, readout="image")
        >>> config.peft_type.value
        'STEERING'
    """

    def __post_init__(self) -> None:
        PeftConfig.__post_init__(self)
        self.peft_type = STEERING
        self.check()

    @classmethod
    def from_json_file(cls, path_json_file: str, **kwargs: Any) -> dict[str, Any]:
        """
        The values in a configuration file, for `from_pretrained`.

        Raises:
            ValueError: If the file cannot be a steering adapter's; see `read_config`.
        """
        values = read_config(Path(path_json_file))
        if values is None:
            raise ValueError(f"{path_json_file} is the configuration of another PEFT method, not of STEERING.")
        return values

    @property
    def target_modules(self) -> None:
        """PEFT's machinery asks every config for it; layers are found from the decoder here, not by name."""
        return None
