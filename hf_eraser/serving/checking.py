"""
What a server with steering adapters may be started with. Private to vLLM, written against the versions in `TESTED`.

What is not known to be right is refused before a model is loaded, in a line that says what to leave out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..hub.base_facts import precision_in_words
from .adapters import BaseModel, ServedAdapter, read_served
from .settings import KEY, Settings, settings_of


# The versions of vLLM, major and minor, that the tests were run with.
TESTED = ("0.32",)

WORKER = "hf_eraser.serving.worker.SteeringWorker"

SCHEDULER, ASYNC_SCHEDULER = (
    f"hf_eraser.serving.scheduling.{name}Scheduler" for name in ("Steering", "AsyncSteering")
)


def check_version(settings: Settings) -> None:
    """
    Raises:
        ValueError: If this vLLM was never tested, and is not to be tried all the same.
    """
    import vllm

    found = re.match(r"\d+\.\d+", vllm.__version__)
    if not settings.allow_untested and (found is None or found[0] not in TESTED):
        raise ValueError(
            f"Steering adapters were tested with vLLM {', '.join(TESTED)}, this is {vllm.__version__}: install one of "
            f"those, or set `{KEY}.allow_untested` to true and measure that the adapters forget."
        )


def check_options(config: Any) -> None:
    """
    Args:
        config: vLLM's `VllmConfig`.

    Raises:
        ValueError: If vLLM is started with something that is not supported beside steering adapters.
    """
    for option in _unsupported(config):
        raise ValueError(
            f"Steering adapters on vLLM do not support {option}: leave it out, or serve this model without adapters."
        )
    if config.parallel_config.worker_extension_cls != WORKER:
        raise ValueError(
            f"Steering adapters on vLLM need `--worker-extension-cls {WORKER}`, without which vLLM would start, and "
            "answer unsteered, where the plug-in does not load."
        )


def _unsupported(config: Any) -> Iterator[str]:
    model, parallel, cache = config.model_config, config.parallel_config, config.cache_config
    found = {
        "speculative decoding (`--speculative-config`)": config.speculative_config is not None,
        "LoRA adapters beside them (`--enable-lora`)": config.lora_config is not None,
        "KV connectors (`--kv-transfer-config`)": config.kv_transfer_config is not None,
        "offloading of the key-value cache (`--kv-offloading-size`)": cache.kv_offloading_size is not None,
        "encoder connectors (`--ec-transfer-config`)": config.ec_transfer_config is not None,
        "weights that change (`--weight-transfer-config`)": config.weight_transfer_config is not None,
        "diffusion models": config.diffusion_config is not None,
        "pipeline parallelism (`--pipeline-parallel-size`)": parallel.pipeline_parallel_size > 1,
        "data parallelism in one server (`--data-parallel-size`; put several servers behind a balancer)": (
            parallel.data_parallel_size > 1
        ),
        "context parallelism": parallel.decode_context_parallel_size * parallel.prefill_context_parallel_size > 1,
        "micro-batches (`--enable-dbo`, `--ubatch-size`)": parallel.use_ubatching,
        "elastic expert parallelism (`--enable-elastic-ep`)": parallel.enable_elastic_ep,
        "sequence parallelism": parallel.enable_hc_sp or parallel.use_sequence_parallel_moe,
        "prompts of embeddings (`--enable-prompt-embeds`)": model.enable_prompt_embeds,
        "sleep mode (`--enable-sleep-mode`)": model.enable_sleep_mode,
        "sharing of the key-value cache between layers (`--kv-sharing-fast-prefill`)": cache.kv_sharing_fast_prefill,
        "a scheduler of your own (`--scheduler-cls`)": config.scheduler_config.scheduler_cls
        not in (None, SCHEDULER, ASYNC_SCHEDULER),
        "pooling models": model.runner_type != "generate",
        "models that read their prompt with an encoder": model.is_encoder_decoder,
        "models with recurrent layers": model.is_hybrid or model.is_attention_free,
        "pruning of videos (`--video-pruning-rate`)": bool(
            model.multimodal_config and model.multimodal_config.video_pruning_rate
        ),
    }
    return (option for option, is_on in found.items() if is_on)


def base_of(config: Any) -> BaseModel:
    """The model that a `VllmConfig` is for."""
    model = config.model_config
    return BaseModel(
        name=model.model,
        model_type=model.hf_config.model_type,
        hidden_size=model.hf_text_config.hidden_size,
        num_layers=model.hf_text_config.num_hidden_layers,
        precision=precision_in_words(model.dtype, getattr(model.hf_config, "quantization_config", None)),
    )


def read_all(settings: Settings, config: Any) -> dict[str, ServedAdapter]:
    """
    The adapters of a server, by name.

    Raises:
        ValueError: If one is missing, broken, for another model, not to be served, or not the one that it was when the
            server started.
        OSError: If one cannot be downloaded.
    """
    base = base_of(config)
    adapters = {name: read_served(name, where, base) for name, where in settings.adapters.items()}
    for name, adapter in adapters.items():
        if settings.digests.get(name, adapter.digest) != adapter.digest:
            raise ValueError(f"Adapter {name!r} in {adapter.files} changed while the server started: start it again.")
    return adapters


def checked(config: Any) -> None:
    """
    Check a `VllmConfig` as a whole, and note in its settings which files the adapters are, so that each process acts
    by them and no compiled graph of other adapters is used.

    Raises:
        ValueError, OSError: What is not right.
    """
    settings = settings_of(config.additional_config)
    if settings is None:
        return
    check_version(settings)
    check_options(config)
    adapters = read_all(settings, config)
    found = Settings(
        adapters={name: str(adapter.files.absolute()) for name, adapter in adapters.items()},
        default=settings.default,
        clients_may_choose=settings.clients_may_choose,
        allow_untested=settings.allow_untested,
        digests={name: adapter.digest for name, adapter in adapters.items()},
    )
    config.additional_config = {**config.additional_config, KEY: found.as_json()}
    config.scheduler_config.scheduler_cls = ASYNC_SCHEDULER if config.scheduler_config.async_scheduling else SCHEDULER
    _split_graphs(config.compilation_config)


def _split_graphs(compilation: Any) -> None:
    """CUDA graphs of whole passes would be replayed without asking an adapter; those of pieces are split at it."""
    from vllm.config import CUDAGraphMode

    from .layers import OPERATOR

    if compilation.splitting_ops and OPERATOR not in compilation.splitting_ops:
        compilation.splitting_ops = [*compilation.splitting_ops, OPERATOR]
    if compilation.cudagraph_mode != CUDAGraphMode.NONE:
        pieces = bool(compilation.splitting_ops)
        compilation.cudagraph_mode = CUDAGraphMode.PIECEWISE if pieces else CUDAGraphMode.NONE
