"""Model cards: what the page of a published adapter tells its readers."""

from .card import USE_CASES, adapter_card, write_card


__all__ = ["USE_CASES", "adapter_card", "write_card"]
