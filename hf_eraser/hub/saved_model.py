"""What the top-level model becomes with a steering adapter, with saving and publishing."""

from __future__ import annotations

import os
from typing import Any

from ..tuner.steered_model import SteeredModel, attached_adapters
from .saving import saved_whole


class SavedModel(SteeredModel):
    """
    The mixin of the model, whose `save_pretrained` is atomic and whose `push_to_hub` publishes the adapter alone.

    Apart from `SteeredModel`, because what acts inside a model knows nothing of files.
    """

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """As the model's own: saves the active adapter. At any moment the folder holds the old one or the new one."""
        pushed = kwargs.pop("push_to_hub", False)
        names = ("repo_id", "private", "commit_message", "create_pr") if pushed else ()
        to_hub = {name: kwargs.pop(name) for name in names if name in kwargs}
        with saved_whole(save_directory) as staging:
            super().save_pretrained(staging, *args, **kwargs)  # type: ignore[misc]
        if pushed:
            to_hub.setdefault("repo_id", os.path.basename(os.path.abspath(save_directory)))
            self.push_to_hub(**to_hub, token=kwargs.get("token"))

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """As transformers' `push_to_hub`; a steering adapter gets a card of its own, see `push_adapter`."""
        # Here, so that whoever only loads an adapter does not pay for importing it.
        from .publishing import push_adapter

        active = self.active_adapters()
        if set(active) <= set(attached_adapters(self)):  # type: ignore[arg-type]
            return push_adapter(self, repo_id, **kwargs)
        return super().push_to_hub(repo_id, **kwargs)  # type: ignore[misc]
