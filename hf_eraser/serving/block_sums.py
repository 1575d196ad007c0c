"""What was read of the tokens in each block of the key-value cache: what readouts of a shared prefix are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Run:
    """
    Tokens of one block that stand next to each other and are of one picture, or of none.

    Attributes:
        slot: The row of each gate layer's sums that has theirs.
        picture: The number of the picture, from 1 on; 0 for none.
        count: How many there are.
    """

    slot: int
    picture: int
    count: int


class BlockSums:
    """
    Sums of the residual stream over the prompt tokens in each block, by gate layer, float32.

    A block's tokens are read once, when its keys and values are computed; a request that goes on behind blocks of
    another one's prompt takes the sums from here. Memory: a row of width d for each run, on each gate layer.

    Args:
        layers: The gate layers.
        block_size: Tokens in a block.
        width: Width of the residual stream.
        device: Where the sums are kept.
    """

    def __init__(self, layers: Iterable[int], block_size: int, width: int, device: torch.device) -> None:
        self.block_size = block_size
        self._runs: dict[int, list[Run]] = {}
        self._free: list[int] = []
        self._sums = {layer: torch.zeros(0, width, device=device) for layer in layers}
        self._size = 0

    @property
    def layers(self) -> list[int]:
        return list(self._sums)

    def begin(self, block: int, offset: int, picture: int, count: int) -> int:
        """
        Make room for a run.

        Args:
            block: The block.
            offset: Where in the block the run begins. At 0 the block is another request's from now on.
            picture, count: As in `Run`.

        Returns:
            Its slot.

        Raises:
            RuntimeError: If what is before it in the block has not been read.
        """
        if offset == 0:
            self._free.extend(run.slot for run in self._runs.pop(block, ()))
        runs = self._runs.setdefault(block, [])
        if sum(run.count for run in runs) != offset:
            raise RuntimeError(f"Block {block} goes on at token {offset}, of which {runs} were read: this is a bug.")
        if not self._free:
            self._grow()
        runs.append(Run(self._free.pop(), picture, count))
        return runs[-1].slot

    def write(self, layer: int, slots: Tensor, sums: Tensor) -> None:
        """Put the sums, (n, d), of so many runs on a layer into their slots, (n,)."""
        self._sums[layer][slots] = sums

    def runs_of(self, blocks: Sequence[int], tokens: int) -> list[Run]:
        """
        The runs of a prompt.

        Args:
            blocks: Its blocks, in order.
            tokens: How many tokens it has.

        Raises:
            RuntimeError: If any of them has not been read: no gate could be decided.
        """
        found: list[Run] = []
        for index, block in enumerate(blocks[: -(-tokens // self.block_size)]):
            runs, wanted = self._runs.get(block, []), min(self.block_size, tokens - index * self.block_size)
            if sum(run.count for run in runs) != wanted:
                raise RuntimeError(
                    f"A prompt of {tokens} tokens goes on behind tokens that no steering adapter has read (block "
                    f"{index}), so no gate can be decided: this is a bug, or what fills the cache is not supported."
                )
            found += runs
        return found

    def total(self, layer: int, slots: Tensor, lengths: Tensor) -> Tensor:
        """
        Sums over runs, one after the other so that they do not depend on what else is in the batch.

        Args:
            layer: The gate layer.
            slots: The runs' slots, (n,).
            lengths: How many runs each sum is over, (m,); they make up n.

        Returns:
            (m, d), float32.
        """
        return torch.segment_reduce(self._sums[layer][slots], "sum", lengths=lengths, axis=0, initial=0.0)

    def _grow(self) -> None:
        more = max(self._size, 256)
        for layer, sums in self._sums.items():
            self._sums[layer] = torch.cat([sums, sums.new_zeros(more, sums.shape[1])])
        self._free.extend(range(self._size + more - 1, self._size - 1, -1))
        self._size += more
