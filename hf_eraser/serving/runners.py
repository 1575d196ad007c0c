"""
Around what runs the model in a worker: both of vLLM's model runners. Private to vLLM, written against 0.32.0.

The first runner keeps its batch on itself when inputs are prepared (`_prepare_inputs`); the second gives it back
(`prepare_inputs`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .caches import check_cache
from .checking import WORKER, read_all
from .layers import attach
from .metrics import Metrics
from .settings import settings_of
from .steering import Steering
from .wrapping import wrap


def wrap_workers() -> None:
    """Let workers and model runners of this platform steer, where there are settings."""
    from vllm.platforms import current_platform
    from vllm.v1.worker.gpu.model_runner import GPUModelRunner as SecondRunner
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner as FirstRunner
    from vllm.v1.worker.gpu_worker import Worker

    for runner in (FirstRunner, SecondRunner):
        _wrap_runner(runner)
    wrap(Worker, "compile_or_warm_up_model", _compile_or_warm_up_model)
    if current_platform.is_cpu():
        from vllm.v1.worker.cpu_model_runner import CPUModelRunner
        from vllm.v1.worker.cpu_worker import CPUWorker

        _wrap_runner(CPUModelRunner)
        wrap(CPUWorker, "compile_or_warm_up_model", _compile_or_warm_up_model)


def _wrap_runner(runner: type) -> None:
    wrap(runner, "load_model", _load_model)
    wrap(runner, "initialize_kv_cache", _initialize_kv_cache)
    wrap(runner, "execute_model", _execute_model)
    wrap(runner, "_prepare_inputs", _prepare_inputs)
    wrap(runner, "prepare_inputs", _prepare_inputs)
    for name in ("_dummy_run", "profile_run", "capture_model"):
        wrap(runner, name, _dummy)


def _of(runner: Any) -> Steering | None:
    if settings_of(runner.vllm_config.additional_config) is None:
        return None
    steering = getattr(runner, "hf_eraser", None)
    if steering is None:
        raise RuntimeError(f"{type(runner).__name__} has no steering adapters: it loaded its model in an unknown way.")
    return steering


def _load_model(load_model: Callable[..., Any]) -> Callable[..., Any]:
    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = load_model(self, *args, **kwargs)
        config = self.vllm_config
        settings = settings_of(config.additional_config)
        if hasattr(self, "hf_eraser") or (settings is None and config.parallel_config.worker_extension_cls != WORKER):
            return result
        if settings is None or not settings.digests:
            raise ValueError(
                f"`--worker-extension-cls {WORKER}` was given, but the plug-in `hf_eraser` did not see settings of "
                "steering adapters when the server started, so it would answer unsteered: give `--additional-config`, "
                "and name the plug-in in VLLM_PLUGINS if you set that."
            )
        text_config = config.model_config.hf_text_config
        steering = Steering(
            read_all(settings, config),
            settings.chosen,
            width=text_config.hidden_size,
            device=self.device,
            observe=Metrics().observe if config.parallel_config.rank == 0 else _unobserved,
        )
        attach(self.get_model(), steering.layers, text_config.num_hidden_layers)
        self.hf_eraser = steering
        return result

    return load


def _unobserved(*_: Any) -> None:
    pass


def _initialize_kv_cache(initialize: Callable[..., Any]) -> Callable[..., Any]:
    def initialize_kv_cache(self: Any, kv_cache_config: Any, *args: Any, **kwargs: Any) -> Any:
        steering = _of(self)
        if steering is not None:
            steering.begin(check_cache(kv_cache_config))
        return initialize(self, kv_cache_config, *args, **kwargs)

    return initialize_kv_cache


def _execute_model(execute_model: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: Any, scheduler_output: Any, *args: Any, **kwargs: Any) -> Any:
        steering = _of(self)
        if steering is None:
            return execute_model(self, scheduler_output, *args, **kwargs)
        if kwargs.get("dummy_run"):
            return _dummy(execute_model)(self, scheduler_output, *args, **kwargs)
        with steering.step(scheduler_output):
            return execute_model(self, scheduler_output, *args, **kwargs)

    return execute


def _prepare_inputs(prepare_inputs: Callable[..., Any]) -> Callable[..., Any]:
    def prepare(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = prepare_inputs(self, *args, **kwargs)
        steering = _of(self)
        if steering is not None and not steering.is_dummy:
            batch = result if hasattr(result, "req_ids") else self.input_batch
            steering.arrange(list(batch.req_ids))
        return result

    return prepare


def _dummy(run: Callable[..., Any]) -> Callable[..., Any]:
    def dummy(self: Any, *args: Any, **kwargs: Any) -> Any:
        steering = _of(self)
        if steering is None or steering.is_dummy:
            return run(self, *args, **kwargs)
        with steering.dummy():
            return run(self, *args, **kwargs)

    return dummy


def _compile_or_warm_up_model(warm_up: Callable[..., Any]) -> Callable[..., Any]:
    def warmed_up(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = warm_up(self, *args, **kwargs)
        steering = _of(self.model_runner)
        if steering is not None:
            _probe(self.model_runner, steering)
        return result

    return warmed_up


@torch.inference_mode()
def _probe(runner: Any, steering: Steering) -> None:
    """
    Raises:
        RuntimeError: If gates that are forced open do not change the logits: whatever the reason is, this server would
            answer unsteered.
    """
    found = []
    for steered in (False, False, True):
        with steering.dummy(steered):
            # Without attention, what it gives is whatever was in memory.
            hidden = runner._dummy_run(1, force_attention=True)[0][:1]
            ran = steering.ran
        if ran != steering.layers:
            raise RuntimeError(
                f"In a probe layers {ran} acted, layers {steering.layers} have to: nothing would steer."
            )
        logits = runner.get_model().compute_logits(hidden)
        found.append((hidden if logits is None else logits).clone())
    if not torch.equal(found[0], found[1]) or torch.equal(found[1], found[2]):
        raise RuntimeError(
            "In a probe with the gates forced open the logits stayed the same, or cannot be compared: the adapters do "
            "not steer this model on this server. Check that they were fitted on it."
        )
