"""What acts inside a model, as PEFT's methods are laid out. Nothing else of this package is imported here."""

from .config import SteeringAdapterConfig
from .forward_call import prompt_lengths
from .model import SteeringModel


__all__ = ["SteeringAdapterConfig", "SteeringModel", "prompt_lengths"]
