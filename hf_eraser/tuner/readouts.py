"""What a gate reads of the residual stream: sums over the prompt's tokens, from which each readout follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .fields import Readout


@dataclass
class ReadoutSums:
    """
    What the readouts need of the prompt tokens seen so far; a prompt may arrive in several pieces.

    Attributes:
        prompt: Sum of the residual stream over all prompt tokens, (batch, d), float32.
        image: Sums over the tokens of each picture, (batch, pictures, d), float32; zeros where a prompt has fewer.
        n_prompt: How many tokens `prompt` is over, (batch, 1), float32.
        n_image: How many tokens each of `image` is over, (batch, pictures), float32.
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
            image_mask: True at pictures' tokens, (batch, length), bool; or the number of the picture that each token
                is of, from 1 on, 0 for none, int64.
        """
        # float32 whatever the model's dtype: rounded to bfloat16, retained inputs' scores rose from 1.5e-12 to 1e-2.
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        picture = image_mask.long() * prompt_mask
        # One sum is kept where there is no picture. A compiled graph takes the pictures of a prompt together.
        count = 1 if image_mask.dtype == torch.bool else max(int(picture.max()), 1)
        of_picture = [picture == number for number in range(1, count + 1)]
        position = torch.arange(hidden.shape[1], device=hidden.device)
        last = (position * prompt_mask).amax(dim=1)
        # where and not a product: what padding positions hold is undefined, and 0 * nan is nan.
        prompt_hidden = torch.where(prompt_mask[..., None], hidden, 0.0)
        return cls(
            prompt=prompt_hidden.sum(dim=1),
            image=torch.stack([torch.where(mask[..., None], hidden, 0.0).sum(dim=1) for mask in of_picture], dim=1),
            n_prompt=prompt_mask.sum(dim=1, keepdim=True).to(hidden.dtype),
            n_image=torch.stack([mask.sum(dim=1) for mask in of_picture], dim=1).to(hidden.dtype),
            last=prompt_hidden[torch.arange(len(hidden), device=hidden.device), last],
        )

    def __add__(self, later: ReadoutSums) -> ReadoutSums:
        """The sums over this piece of a prompt and a later one."""
        count = max(self.image.shape[1], later.image.shape[1])
        before, after = self._of_pictures(count), later._of_pictures(count)
        return ReadoutSums(
            prompt=self.prompt + later.prompt,
            image=before.image + after.image,
            n_prompt=self.n_prompt + later.n_prompt,
            n_image=before.n_image + after.n_image,
            last=torch.where(later.n_prompt > 0, later.last, self.last),
        )

    @classmethod
    def rows(cls, of_rows: Sequence[ReadoutSums | None]) -> ReadoutSums:
        """Sums of one row each, one below the other; zeros where there are none, at least one is."""
        count = max(sums.image.shape[1] for sums in of_rows if sums is not None)
        of_rows = [sums if sums is None else sums._of_pictures(count) for sums in of_rows]
        some = next(sums for sums in of_rows if sums is not None)
        fields = cls.__dataclass_fields__
        none = cls(*(torch.zeros_like(getattr(some, name)) for name in fields))
        return cls(*(torch.cat([getattr(sums or none, name) for sums in of_rows]) for name in fields))

    def _of_pictures(self, count: int) -> ReadoutSums:
        """The same with room for so many pictures."""
        more = count - self.image.shape[1]
        pad = nn.functional.pad
        return replace(self, image=pad(self.image, (0, 0, 0, more)), n_image=pad(self.n_image, (0, more)))

    def judged_by(self, readout: Readout) -> list[ReadoutSums]:
        """
        What a gate scores by itself, of which the highest score counts: where pictures are read, the sums as if each
        prompt held but one, for each that it has (its first again where it has fewer); else these alone.
        """
        count = self.image.shape[1]
        if readout != "image" or count == 1:
            return [self]
        rows = torch.arange(len(self.image), device=self.image.device)
        first = (self.n_image > 0).long().argmax(dim=1)
        found = []
        for number in range(count):
            at = torch.where(self.n_image[:, number] > 0, number, first)
            found.append(replace(self, image=self.image[rows, at][:, None], n_image=self.n_image[rows, at][:, None]))
        return found

    def row(self, number: int) -> ReadoutSums:
        """One row of them."""
        return ReadoutSums(*(getattr(self, name)[number : number + 1] for name in self.__dataclass_fields__))

    def select(self, indices: Tensor) -> ReadoutSums:
        """The rows of these numbers, (new batch,), in this order."""
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return ReadoutSums(*(value[indices.to(value.device)] for value in values))

    @property
    def pictures(self) -> int:
        """The number of the last picture; 0 if there is none."""
        return int((self.n_image > 0).any(dim=0).nonzero().add(1).amax()) if bool(self.has_image.any()) else 0

    @property
    def has_image(self) -> Tensor:
        """Whether each prompt holds an image, (batch,), bool."""
        return (self.n_image > 0).any(dim=1)

    def read(self, readout: Readout, text_readout: Readout | None = None) -> Tensor:
        """
        The readout's vector of each prompt, (batch, d), float32, of several pictures together; zeros for an empty
        prompt. (batch, 2 d) where one of the readouts is `"joined"`; one that is not has zeros behind it.

        Args:
            readout: What is read.
            text_readout: What is read of a prompt without an image; the default is `readout`.
        """
        if text_readout not in (None, readout):
            with_image, without = self.read(readout), self.read(text_readout)
            width = max(with_image.shape[1], without.shape[1])
            with_image, without = (nn.functional.pad(r, (0, width - r.shape[1])) for r in (with_image, without))
            return torch.where(self.has_image[:, None], with_image, without)
        mean_prompt = self.prompt / self.n_prompt.clamp(min=1)
        if readout == "joined":
            return torch.cat([self.last, mean_prompt], dim=-1)
        if readout == "last":
            return self.last
        if readout == "prompt":
            return mean_prompt
        image, n_image = self.image.sum(dim=1), self.n_image.sum(dim=1, keepdim=True)
        if readout == "image":
            return torch.where(n_image > 0, image / n_image.clamp(min=1), mean_prompt)
        return (self.prompt - image) / (self.n_prompt - n_image).clamp(min=1)
