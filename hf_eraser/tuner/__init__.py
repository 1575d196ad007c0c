"""What acts inside a model, as PEFT's methods are laid out. Nothing else of this package is imported here."""

from .config import SteeringAdapterConfig
from .gate_decisions import GateDecision, decisions_on, gate_decisions
from .model import SteeringModel


__all__ = ["GateDecision", "SteeringAdapterConfig", "SteeringModel", "decisions_on", "gate_decisions"]
