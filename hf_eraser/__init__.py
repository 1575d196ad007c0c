"""
Make a multimodal LLM forget at test time, with an adapter that never touches a base weight.

Importing this package registers the PEFT method `STEERING`; after that, `load_adapter`, `disable_adapter`,
`save_pretrained` and the rest work for steering adapters as they do for a LoRA.
"""

import sys
from pathlib import PurePath
from types import FrameType
from typing import TYPE_CHECKING

from .version import __version__


__all__ = ["SteeringAdapterConfig", "SteeringModel", "__version__", "fit", "forget", "prompt_lengths"]


def _is_command_line() -> bool:
    """Whether this process is `hf-eraser`, whose help and completion do not wait for torch: commands register."""
    return PurePath(sys.argv[0]).stem == "hf-eraser" or ("-m", "hf_eraser.cli") in zip(
        sys.orig_argv, sys.orig_argv[1:]
    )


def _is_plug_in() -> bool:
    """Whether it is vLLM that imports this package, beside which there may be another transformers, and no PEFT."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("vllm."):
        frame = frame.f_back
    return frame is not None


if TYPE_CHECKING or not (_is_command_line() or _is_plug_in()):
    from .registration import register

    register()

if TYPE_CHECKING:
    from .fitting import fit
    from .forget_sets import forget
    from .tuner import SteeringAdapterConfig, SteeringModel, prompt_lengths


def __getattr__(name: str) -> object:
    if name in ("SteeringAdapterConfig", "SteeringModel", "prompt_lengths"):
        from . import tuner

        return getattr(tuner, name)
    # Whoever only loads an adapter does not pay for importing what fits one.
    if name == "fit":
        from .fitting import fit

        return fit
    if name == "forget":
        from .forget_sets import forget

        return forget
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
