"""
The plug-in: what vLLM calls in each of its processes, by the entry point in `vllm.general_plugins`.

It waits for a configuration with settings, and changes nothing without. Then vLLM's own options name what acts in its
other processes: a scheduler, and an extension of its workers. Private to vLLM, written against 0.32.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .settings import KEY, settings_of
from .wrapping import wrap


def load() -> None:
    """Wait for settings. May be called again."""
    from vllm.engine.arg_utils import EngineArgs

    wrap(EngineArgs, "create_engine_config", _create_engine_config)


def _create_engine_config(create: Callable[..., Any]) -> Callable[..., Any]:
    def create_engine_config(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = create(self, *args, **kwargs)
        if settings_of(config.additional_config) is not None:
            from .checking import checked

            checked(config)
            _wrap_frontend()
        return config

    return create_engine_config


def _wrap_frontend() -> None:
    """Let what takes requests refuse those that could not be steered rightly."""
    from vllm.entrypoints.generate.beam_search.offline import BeamSearchOfflineMixin
    from vllm.entrypoints.generate.beam_search.online import BeamSearchOnlineMixin
    from vllm.v1.engine.input_processor import InputProcessor

    wrap(InputProcessor, "process_inputs", _process_inputs)
    wrap(BeamSearchOfflineMixin, "beam_search", _offline_beam_search)
    wrap(BeamSearchOnlineMixin, "beam_search", _online_beam_search)


def _process_inputs(process: Callable[..., Any]) -> Callable[..., Any]:
    from vllm.exceptions import VLLMValidationError  # an error of the client's, and not of the server

    def process_inputs(self: Any, request_id: str, prompt: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
        settings = settings_of(self.vllm_config.additional_config)
        if settings is not None:
            try:
                settings.chosen(getattr(params, "extra_args", None))
            except ValueError as error:
                raise VLLMValidationError(str(error), parameter=f"vllm_xargs.{KEY}") from error
            if kwargs.get("resumable"):
                raise VLLMValidationError(
                    "A prompt that comes in pieces is not supported beside steering adapters: send it whole."
                )
        return process(self, request_id, prompt, params, *args, **kwargs)

    return process_inputs


_NO_BEAMS = (
    "Beam search is not supported beside steering adapters: vLLM sends each beam as a new prompt, which would be "
    "judged anew. Leave `use_beam_search` out."
)


def _offline_beam_search(search: Callable[..., Any]) -> Callable[..., Any]:
    def beam_search(self: Any, *args: Any, **kwargs: Any) -> Any:
        if settings_of(self.llm_engine.vllm_config.additional_config) is not None:
            raise ValueError(_NO_BEAMS)
        return search(self, *args, **kwargs)

    return beam_search


def _online_beam_search(search: Callable[..., Any]) -> Callable[..., Any]:
    async def beam_search(self: Any, *args: Any, **kwargs: Any) -> Any:
        if settings_of(self.engine_client.vllm_config.additional_config) is not None:
            raise ValueError(_NO_BEAMS)
        async for output in search(self, *args, **kwargs):
            yield output

    return beam_search
