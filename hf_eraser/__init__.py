"""
Make a multimodal LLM forget at test time, with an adapter that never touches a base weight.

Importing this package registers the PEFT method `STEERING`; after that, `load_adapter`, `disable_adapter`,
`save_pretrained` and the rest work for steering adapters as they do for a LoRA.
"""

from .config import SteeringAdapterConfig
from .model import SteeringModel
from .registration import register
from .version import __version__


__all__ = ["SteeringAdapterConfig", "SteeringModel", "__version__", "fit"]

register()


def __getattr__(name: str) -> object:
    # Whoever only loads an adapter does not pay for importing what fits one.
    if name == "fit":
        from .fitting import fit

        return fit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
