"""Which key-value caches are supported."""

from __future__ import annotations

from typing import Any


def check_cache(config: Any) -> int:
    """
    Tokens in a block.

    Args:
        config: vLLM's `KVCacheConfig`.

    Raises:
        ValueError: If it is not one cache of full attention.
    """
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    specs = [group.kv_cache_spec for group in config.kv_cache_groups]
    if len(specs) != 1 or not isinstance(specs[0], FullAttentionSpec) or getattr(specs[0], "sliding_window", None):
        kinds = sorted({type(spec).__name__ for spec in specs})
        raise ValueError(
            f"Steering adapters on vLLM need one key-value cache of full attention, this model has {kinds}: it is not "
            "supported (models with sliding windows or recurrent layers are not)."
        )
    return specs[0].block_size
