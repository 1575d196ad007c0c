"""
What `--worker-extension-cls` names.

vLLM goes on without a plug-in that did not load, and would answer unsteered. Without a class that it was told of it
does not start: so this one is named beside the settings. Importing it lets workers steer.
"""

from __future__ import annotations

from .runners import wrap_workers


wrap_workers()


class SteeringWorker:
    """Says what a worker steers by, to who asks with `collective_rpc`."""

    def hf_eraser_adapters(self) -> list[str]:
        """The names of the adapters that this worker holds; an error where it holds none."""
        return self.model_runner.hf_eraser.names  # type: ignore[attr-defined]
