"""A fixed answer in place of the model's own, in sequences whose gate is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .forward_call import SteeringCall


# The logit of every other token, where that of the answer's is 0: its probability is 0 in float32, and the logit is
# within what float16 holds.
_NEVER = -1e4


def with_fixed_answers(
    outputs: Any,
    call: SteeringCall,
    answers: Mapping[str, list[int]],
    arguments: Mapping[str, Any],
    loss_of: Callable[[Tensor, Tensor], Tensor],
) -> Any:
    """
    A forward pass's outputs with the logits that give the fixed answer, token by token and then its last token for
    ever, where a gate is open; those of other sequences are the same, bit for bit.

    Args:
        outputs: What the model's `forward` returned.
        call: The call.
        answers: The tokens of the answer, its end included, by acting adapter. Of several whose gates are open, the
            first one's is given.
        arguments: The keyword arguments of `forward`.
        loss_of: The model's loss of logits, (batch, length, vocabulary), and labels; asked where there are labels.
    """
    decision = call.decision
    if not decision.complete or decision.last is None:
        return outputs
    tokens: Tensor | None = None
    found = _logits_of(outputs)
    if found is None:
        return outputs
    name, logits = found
    positions = _positions(arguments.get("logits_to_keep", 0), call.length, logits.shape[1]).to(logits.device)
    step = call.steps().to(logits.device)[:, positions]  # of the answer's tokens, (batch, kept)
    for adapter, ids in reversed(list(answers.items())):
        opened = [gate.gt(0).any(dim=1) for key, gate in decision.gates.items() if key[0] == adapter]
        if not opened:
            continue
        is_open = torch.stack(opened).any(dim=0)
        if not torch.compiler.is_compiling() and not bool(is_open.any()):
            continue
        own = torch.tensor(ids, device=logits.device)[step.clamp(0, len(ids) - 1)]
        open_tokens = call.by_token(is_open).to(logits.device)
        open_tokens = open_tokens if call.packing is None else open_tokens[:, positions]
        here = open_tokens & (step >= 0)
        tokens = torch.where(here, own, -1 if tokens is None else tokens)
    if tokens is None:
        return outputs
    forced = torch.full_like(logits, _NEVER).scatter_(-1, tokens.clamp(min=0)[..., None], 0.0)
    changed = torch.where((tokens >= 0)[..., None], forced, logits)
    labels = arguments.get("labels")
    return _replaced(outputs, name, changed, None if labels is None else loss_of(changed, labels))


def _positions(kept: Any, length: int, given: int) -> Tensor:
    """The positions in this call whose logits there are."""
    every = torch.arange(length)
    if isinstance(kept, Tensor):
        return every[kept.cpu()]
    # A model that does not know the argument gives all of them.
    return every if given == length else every[-given:]


def _logits_of(outputs: Any) -> tuple[str | int, Tensor] | None:
    if isinstance(outputs, tuple):
        # A loss, if there is one, is a scalar.
        return next(
            ((i, value) for i, value in enumerate(outputs) if isinstance(value, Tensor) and value.ndim == 3), None
        )
    logits = getattr(outputs, "logits", None)
    return None if logits is None else ("logits", logits)


def _replaced(outputs: Any, name: str | int, logits: Tensor, loss: Tensor | None) -> Any:
    if isinstance(outputs, tuple):
        values = list(outputs)
        values[int(name)] = logits
        if loss is not None and name == 1:
            values[0] = loss
        return tuple(values)
    outputs.logits = logits
    if loss is not None:
        outputs.loss = loss
    return outputs
