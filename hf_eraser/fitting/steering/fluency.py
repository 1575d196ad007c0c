"""How fluent answers are, by the base model's own measure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from ...data.encoding import answer_start, batches, encode
from ...data.examples import Example
from ..reading.capture import evaluating, steering_off
from ..reading.views import Source


class Fluency:
    """
    Compares answers with the base model's own refusals, by the likelihood that the base model gives to either.

    Behind the question that was asked, a refusal may be unlikely however well it reads, since the base model answers
    it. So all texts are put behind the same prompt, one that a refusal answers.

    Args:
        source: The model and its processor.
        prompt: That prompt.
        refusals: The refusals that answers are compared with.
    """

    def __init__(self, source: Source, prompt: Example, refusals: Sequence[str]) -> None:
        self._source = source
        self._prompt = prompt
        self._known: dict[str, float] = {}
        self._own = max(self._log_likelihoods(refusals))

    def of(self, answers: Sequence[str]) -> float:
        """
        The mean over answers of how likely each is, against the likeliest of the refusals: the ratio of the geometric
        means over their tokens, at most 1; 0 for an empty answer.
        """
        likelihoods = self._log_likelihoods(answers)
        return sum(math.exp(min(0.0, likelihood - self._own)) for likelihood in likelihoods) / len(likelihoods)

    def _log_likelihoods(self, texts: Sequence[str]) -> list[float]:
        """The mean log-likelihood of a text's tokens, in nats; minus infinity for an empty one."""
        # Steered answers are few texts over and over.
        new = sorted({text for text in texts if text and text not in self._known})
        model, processor = self._source.model, self._source.processor
        asked = [self._prompt.with_answer_begun(text) for text in new]
        (prompt,) = encode(processor, [self._prompt], model.device)["input_ids"]

        def likelihoods(indices: list[int]) -> list[float]:
            inputs = encode(processor, [asked[i] for i in indices], model.device)
            logits = model(**inputs, use_cache=False).logits
            found = []
            for row in range(len(indices)):
                kept = inputs["attention_mask"][row].bool()
                tokens = inputs["input_ids"][row][kept]
                start = answer_start(prompt, tokens)
                loss = nn.functional.cross_entropy(logits[row][kept][start - 1 : -1].float(), tokens[start:])
                found.append(-float(loss))
            return found

        planned = batches(asked, self._source.batch_size)
        with evaluating(model), steering_off(model), torch.no_grad():
            shared = self._source.processes.share(likelihoods, planned, of="likelihoods")
            for indices, found in zip(planned, shared):
                self._known |= {new[i]: likelihood for i, likelihood in zip(indices, found)}
        return [self._known.get(text, -math.inf) for text in texts]
