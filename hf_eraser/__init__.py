"""
Make a multimodal LLM forget at test time, with an adapter that never touches a base weight.

Importing this package registers the PEFT method `STEERING`; after that, `load_adapter`, `disable_adapter`,
`save_pretrained` and the rest work for steering adapters as they do for a LoRA.
"""

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from .version import __version__


__all__ = ["SteeringAdapterConfig", "SteeringModel", "__version__", "fit", "prompt_lengths"]


def _is_command_line() -> bool:
    """Whether this process is `hf-eraser`, whose help and completion do not wait for torch: commands register."""
    return PurePath(sys.argv[0]).stem == "hf-eraser" or ("-m", "hf_eraser.cli") in zip(
        sys.orig_argv, sys.orig_argv[1:]
    )


if TYPE_CHECKING or not _is_command_line():
    from .registration import register
    from .tuner import SteeringAdapterConfig, SteeringModel, prompt_lengths

    register()

if TYPE_CHECKING:
    from .fitting import fit


def __getattr__(name: str) -> object:
    # Whoever only loads an adapter does not pay for importing what fits one.
    if name == "fit":
        from .fitting import fit

        return fit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
