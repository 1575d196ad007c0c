"""What a gate reads of the residual stream: sums over the prompt's tokens, from which each readout follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .config import Readout


@dataclass
class ReadoutSums:
    """
    What the readouts need of the prompt tokens seen so far; a prompt may arrive in several pieces.

    Attributes:
        prompt, image: Sums of the residual stream over all prompt tokens and over the image's, (batch, d), float32.
        n_prompt, n_image: How many tokens each sum is over, (batch, 1), float32.
        last: The residual stream at the last prompt token, (batch, d), float32.
    """

    prompt: Tensor
    image: Tensor
    n_prompt: Tensor
    n_image: Tensor
    last: Tensor

    @classmethod
    def of(cls, hidden: Tensor, prompt_mask: Tensor, image_mask: Tensor) -> ReadoutSums:
        """
        Args:
            hidden: Output of a decoder layer, (batch, length, d), any floating dtype.
            prompt_mask: True at the prompt's tokens, padding and answer excepted, (batch, length), bool.
            image_mask: True at the image's tokens, (batch, length), bool.
        """
        # float32 whatever the model's dtype: rounded to bfloat16, retained inputs' scores rose from 1.5e-12 to 1e-2.
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        image_mask = image_mask & prompt_mask
        position = torch.arange(hidden.shape[1], device=hidden.device)
        last = (position * prompt_mask).amax(dim=1)
        # where and not a product: what padding positions hold is undefined, and 0 * nan is nan.
        prompt_hidden = torch.where(prompt_mask[..., None], hidden, 0.0)
        return cls(
            prompt=prompt_hidden.sum(dim=1),
            image=torch.where(image_mask[..., None], hidden, 0.0).sum(dim=1),
            n_prompt=prompt_mask.sum(dim=1, keepdim=True).to(hidden.dtype),
            n_image=image_mask.sum(dim=1, keepdim=True).to(hidden.dtype),
            last=prompt_hidden[torch.arange(len(hidden), device=hidden.device), last],
        )

    def __add__(self, later: ReadoutSums) -> ReadoutSums:
        """The sums over this piece of a prompt and a later one."""
        return ReadoutSums(
            prompt=self.prompt + later.prompt,
            image=self.image + later.image,
            n_prompt=self.n_prompt + later.n_prompt,
            n_image=self.n_image + later.n_image,
            last=torch.where(later.n_prompt > 0, later.last, self.last),
        )

    @classmethod
    def rows(cls, of_rows: Sequence[ReadoutSums | None]) -> ReadoutSums:
        """Sums of one row each, one below the other; zeros where there are none, at least one is."""
        some = next(sums for sums in of_rows if sums is not None)
        fields = cls.__dataclass_fields__
        none = cls(*(torch.zeros_like(getattr(some, name)) for name in fields))
        return cls(*(torch.cat([getattr(sums or none, name) for sums in of_rows]) for name in fields))

    def row(self, number: int) -> ReadoutSums:
        """One row of them."""
        return ReadoutSums(*(getattr(self, name)[number : number + 1] for name in self.__dataclass_fields__))

    def expand(self, times: int) -> ReadoutSums:
        """Each row `times` times in a row, as beam search does with a batch."""
        return ReadoutSums(
            *(getattr(self, name).repeat_interleave(times, dim=0) for name in self.__dataclass_fields__)
        )

    @property
    def has_image(self) -> Tensor:
        """Whether each prompt holds an image, (batch,), bool."""
        return self.n_image[:, 0] > 0

    def read(self, readout: Readout, text_readout: Readout | None = None) -> Tensor:
        """
        The readout's vector of each prompt, (batch, d), float32; zeros for an empty prompt. (batch, 2 d) where one of
        the readouts is `"joined"`; one that is not has zeros behind it.

        Args:
            readout: What is read.
            text_readout: What is read of a prompt without an image; the default is `readout`.
        """
        if text_readout not in (None, readout):
            with_image, without = self.read(readout), self.read(text_readout)
            width = max(with_image.shape[1], without.shape[1])
            with_image, without = (nn.functional.pad(r, (0, width - r.shape[1])) for r in (with_image, without))
            return torch.where(self.n_image > 0, with_image, without)
        mean_prompt = self.prompt / self.n_prompt.clamp(min=1)
        if readout == "joined":
            return torch.cat([self.last, mean_prompt], dim=-1)
        if readout == "last":
            return self.last
        if readout == "prompt":
            return mean_prompt
        if readout == "image":
            return torch.where(self.n_image > 0, self.image / self.n_image.clamp(min=1), mean_prompt)
        return (self.prompt - self.image) / (self.n_prompt - self.n_image).clamp(min=1)
