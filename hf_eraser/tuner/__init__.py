"""What acts inside a model, as PEFT's methods are laid out. Nothing else of this package is imported here."""

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from .config import SteeringAdapterConfig
    from .forward_call import prompt_lengths
    from .model import SteeringModel


__all__ = ["SteeringAdapterConfig", "SteeringModel", "prompt_lengths"]


def __getattr__(name: str) -> object:
    # A server that reads an adapter's files has no use for PEFT.
    if name == "SteeringAdapterConfig":
        from .config import SteeringAdapterConfig

        return SteeringAdapterConfig
    if name == "SteeringModel":
        from .model import SteeringModel

        return SteeringModel
    if name == "prompt_lengths":
        from .forward_call import prompt_lengths

        return prompt_lengths
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
