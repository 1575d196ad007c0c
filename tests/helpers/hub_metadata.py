"""What the Hub refuses in the metadata of a README.md."""

from __future__ import annotations

import re
from typing import Any

import yaml


_FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)
_REPO_ID = re.compile(r"(?:[\w.-]+/)?[\w.-]+")


def front_matter(readme: str) -> dict[str, Any]:
    """The metadata of a README.md; empty if there is none.

    Raises:
        ValueError: If it is no YAML, or not a mapping.
    """
    match = _FRONT_MATTER.match(readme)
    if match is None:
        return {}
    try:
        metadata = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise ValueError(f"Invalid YAML: {error}") from error
    if not isinstance(metadata, dict):
        raise ValueError('"metadata" must be an object')
    return metadata


def problems(readme: str) -> list[str]:
    """What is wrong with the metadata, one sentence each."""
    try:
        metadata = front_matter(readme)
    except ValueError as error:
        return [str(error)]
    found = [
        f'"{key}" must be a string'
        for key in ("license", "library_name", "pipeline_tag")
        if key in metadata and not isinstance(metadata[key], str)
    ]
    tags = metadata.get("tags", [])
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        found.append('"tags" must be an array of strings')
    base_models = metadata.get("base_model", [])
    for base_model in base_models if isinstance(base_models, list) else [base_models]:
        if not (isinstance(base_model, str) and _REPO_ID.fullmatch(base_model)):
            found.append(f'"base_model" with value "{base_model}" is not valid. Use a model id from the Hub.')
    for index, model in enumerate(metadata.get("model-index") or []):
        for result in model.get("results") or [{}]:
            if "type" not in result.get("task", {}) or not {"name", "type"} <= result.get("dataset", {}).keys():
                found.append(f"\"model-index[{index}].results\" need a task's type, and a dataset's name and type")
            if not all({"type", "value"} <= metric.keys() for metric in result.get("metrics", [])):
                found.append(f'"model-index[{index}].results.metrics" need a type and a value')
    return found
