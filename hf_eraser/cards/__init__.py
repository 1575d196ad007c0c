"""Model cards: what the page of a published adapter tells its readers."""

from .card import USE_CASES, adapter_card, write_card
from .folder import check_adapter_folder, push_adapter_folder


__all__ = ["USE_CASES", "adapter_card", "check_adapter_folder", "push_adapter_folder", "write_card"]
