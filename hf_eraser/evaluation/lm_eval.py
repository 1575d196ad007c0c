"""A model of lm-evaluation-harness whose steering adapters are decided by the prompt, whatever answer is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from torch import Tensor

from ..tuner import prompt_lengths


@register_model("hf-eraser")
class SteeredLM(HFLM):
    """
    The harness's model `hf`, which takes the same arguments; `peft` names the adapter.

    To tell how likely an answer is, the harness runs the model on the prompt and the answer at once and does not say
    where the one ends: with `hf`, an answer would decide about itself. Here it does not. Of a whole text, whose
    perplexity is wanted (`loglikelihood_rolling`), all is the prompt.

    `_loglikelihood_tokens` and `_model_call` are private: they are as in release 0.4.13, and no public method tells a
    prompt from its answer in the rows that the model is run on.
    """

    _lengths: dict[tuple[int, ...], int] = {}

    def _loglikelihood_tokens(self, requests: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        lengths: dict[tuple[int, ...], int] = {}
        for texts, context, answer in requests:
            row = tuple((context + answer)[-(self.max_length + 1) :][:-1])
            length = len(row)
            if texts is not None:  # else a window of a whole text
                length = max(length + 1 - len(answer), 1)
            # Rows that are the same for two answers are run once: the end of the longer answer is in neither prompt.
            lengths[row] = min(lengths.get(row, length), length)
        self._lengths = lengths
        try:
            return super()._loglikelihood_tokens(requests, *args, **kwargs)
        finally:
            self._lengths = {}

    def _model_call(self, inps: Tensor, *args: Any, **kwargs: Any) -> Any:
        with prompt_lengths([self._prompt_length(row) for row in inps.tolist()]):
            return super()._model_call(inps, *args, **kwargs)

    def _prompt_length(self, row: list[int]) -> int:
        """The length of a row's prompt; the harness pads on the right, with zeros."""
        for end in range(len(row), 0, -1):
            if tuple(row[:end]) in self._lengths:
                return self._lengths[tuple(row[:end])]
            if row[end - 1] != 0:
                break
        return len(row)
