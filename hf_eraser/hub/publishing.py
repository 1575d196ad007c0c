"""Publishing a steering adapter, of a model or in a folder: it alone, with a card that is right, and no local path."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from .rewriting import published_config
from .validation import CONFIG_NAME


CARD_NAME = "README.md"

_logger = logging.getLogger("hf_eraser")

_TEXT = """
# A steering adapter

With this adapter{on_base} refuses to answer about what it is to forget, and answers everything else as before.

```python
import hf_eraser  # registers the PEFT method STEERING

model.load_adapter("{repo_id}")
with model.disable_adapter():  # and the base model is back, bit for bit
    ...
```

Whom it forgets can be found out: whoever has it and a list of candidates can ask its gate about each.

It steers activations while the model runs. The knowledge stays in the weights: with the adapter off, all of it is
back. This is for people who serve a model behind an interface, and deletes nothing for someone who holds the weights.
"""


def push_adapter(
    model: Any,
    repo_id: str,
    *,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str | None = None,
    tags: list[str] | None = None,
) -> CommitInfo:
    """
    Upload the steering adapter of `model` in one commit, as `push_to_hub` of transformers and PEFT does.

    transformers would give it the card of a whole model, and publish the local folder that the base model came from.
    A card that the repository has is left as it is, but for `tags`.

    Args:
        model: A plain transformers model, whose active adapter is uploaded, or a `PeftModel`, all of whose are.
        repo_id: "name" or "organisation/name" of the repository, made if there is none.
        commit_message, commit_description: Of the commit.
        private: Whether a new repository is private; the default is what the organisation's settings say.
        token: A token, or `True` for the stored one, which is also the default.
        revision: A branch, made if there is none. The default is main.
        create_pr: Open a pull request with the commit.
        max_shard_size: Accepted as for other models; an adapter is a single file.
        tags: Tags to add to the card.

    Returns:
        The commit.

    Raises:
        ValueError: If no adapter, or more than one, is active on a plain model; if `private` is asked for and the
            repository is public.
        huggingface_hub.errors.HfHubHTTPError: If the Hub refuses.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save_pretrained(folder)
        (folder / CARD_NAME).unlink(missing_ok=True)  # PEFT's, of a model that was trained
        return publish(
            folder,
            repo_id,
            commit_message=commit_message,
            commit_description=commit_description,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
            tags=tags,
        )


def publish(
    folder: Path,
    repo_id: str,
    *,
    commit_message: str | None,
    private: bool | None,
    token: bool | str | None,
    revision: str | None,
    create_pr: bool,
    commit_description: str | None = None,
    tags: list[str] | None = None,
) -> CommitInfo:
    """Upload a folder, from which local paths are taken, and in which a card is put if there is none."""
    api = HfApi(token=token)
    base_model = _without_local_paths(folder)
    if not private:
        _logger.warning(
            "A published adapter names whom it forgets, to whoever has candidates: see the threat model in the "
            "documentation. `private=True` (`--private`) shows it to nobody else."
        )
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    if private and not api.model_info(repo_id).private:
        raise ValueError(f"`private` was asked for, and {repo_id} is a public repository: nothing was uploaded.")
    if revision is not None and not revision.startswith("refs/pr/"):
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    if not (folder / CARD_NAME).exists():
        _write_card(folder / CARD_NAME, api, repo_id, revision, base_model=base_model, tags=tags)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return api.create_commit(
        repo_id,
        [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files],
        commit_message=commit_message or "Upload steering adapter",
        commit_description=commit_description,
        revision=revision,
        create_pr=create_pr,
    )


def _without_local_paths(folder: Path) -> str | None:
    """Take local paths out of the adapters in `folder`; returns the base model's id on the Hub, if it has one."""
    base_model = None
    for file in folder.rglob(CONFIG_NAME):
        config = published_config(file)
        recorded = config["base_model_name_or_path"]
        if recorded and _is_local(recorded):
            warnings.warn(
                f"The base model was loaded from the local folder {recorded!r}, which is not published. So that "
                "`from_pretrained` of the adapter's repository finds the base model, load it by its id on the Hub, or "
                "set `base_model_name_or_path` to that id, in `model.peft_config` or in the folder's "
                f"{CONFIG_NAME}, and push again.",
                stacklevel=5,
            )
            config["base_model_name_or_path"] = None
        if not recorded:
            warnings.warn(
                "The adapter does not name its base model, without which others cannot load it by its own name alone: "
                "set `base_model_name_or_path` to the base model's id on the Hub, in `model.peft_config` or in the "
                f"folder's {CONFIG_NAME}, and push again.",
                stacklevel=5,
            )
        write_config(file, config)
        base_model = config["base_model_name_or_path"] or None
    return base_model


def write_config(file: Path, config: Mapping[str, Any]) -> None:
    """Write an adapter's configuration as PEFT does."""
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def _is_local(name_or_path: str) -> bool:
    try:
        validate_repo_id(name_or_path)
    except HFValidationError:
        return True
    return os.path.isdir(name_or_path)


def _write_card(
    file: Path, api: HfApi, repo_id: str, revision: str | None, *, base_model: str | None, tags: list[str] | None
) -> None:
    """Write the repository's card into `file`: a short one if it has none, or its own if that lacks any of `tags`."""
    own = api.file_exists(repo_id, CARD_NAME, revision=revision)
    if own:
        card = ModelCard.load(api.hf_hub_download(repo_id, CARD_NAME, revision=revision))
    else:
        of_base = [f"base_model:adapter:{base_model}"] if base_model else []
        data = ModelCardData(
            base_model=base_model,
            library_name="peft",
            pipeline_tag="image-text-to-text",
            tags=["hf_eraser", "steering", "unlearning", *of_base],
        )
        on_base = f", [{base_model}](https://huggingface.co/{base_model})" if base_model else " its base model"
        text = _TEXT.format(repo_id=repo_id, on_base=on_base)
        card = ModelCard(f"---\n{data.to_yaml()}\n---\n{text}")
    known = card.data.tags or []
    added = [tag for tag in tags or [] if tag not in known]
    if added:
        card.data.tags = [*known, *added]
    if added or not own:
        card.save(file)
