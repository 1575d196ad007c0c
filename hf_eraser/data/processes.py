"""The processes that were launched together, by accelerate or torchrun, and work on examples shared out among them."""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor


_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Processes:
    """
    The processes that run the same program, of which this is one.

    Each of them goes through the same steps. Only work on examples is shared out, and what comes of it is given to
    all, in the order of the examples: so each of them knows and decides what a single process would.

    Attributes:
        rank: The number of this process.
        count: How many there are.
        shares: Whether work is shared out. It is not where the parts of one model are in several processes: a pass
            through it then needs all of them, with the same examples.
        group: Through which they exchange what they made, on the CPU; None for a single process.
    """

    rank: int = 0
    count: int = 1
    shares: bool = True
    group: Any = None

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def share(self, work: Callable[[_Item], _Made], items: Sequence[_Item], *, of: str) -> Iterator[_Made]:
        """
        What `work` makes of each item, in order, whichever process made it.

        Args:
            work: Makes something, which can be pickled, of one item.
            items: The same items in each process.
            of: What this is, by which it is seen that all processes are at the same.

        Raises:
            Exception: What the work raised in any process, in all of them.
            RuntimeError: If another process is at something else.
        """
        if self.count == 1 or not self.shares:
            yield from map(work, items)
            return
        for start in range(0, len(items), self.count):
            made, error = None, None
            if start + self.rank < len(items):
                try:
                    made = work(items[start + self.rank])
                except Exception as raised:  # the others would wait for this process
                    error = self._portable(raised)
            everyone = self._gather((of, len(items), made, error))
            for rank, (where, length, _, failure) in enumerate(everyone):
                if failure is not None:
                    raise failure
                if (where, length) != (of, len(items)):
                    raise RuntimeError(
                        f"Process {rank} of {self.count} is at {where!r} ({length}), process {self.rank} at {of!r} "
                        f"({len(items)}): all must be given the same model, examples and arguments."
                    )
            for rank, (_, _, of_rank, _) in enumerate(everyone[: len(items) - start]):
                yield made if rank == self.rank else of_rank  # type: ignore[misc]

    def same(self, value: str, *, what: str) -> None:
        """
        Check that all processes are given the same.

        Raises:
            RuntimeError: If they are not.
        """
        if self.count > 1 and len(set(self._gather(value))) > 1:
            raise RuntimeError(f"The {self.count} processes do not have the same {what}: give all of them the same.")

    def of_main(self, make: Callable[[], _Made]) -> _Made:
        """
        What the main process makes, in all of them.

        Raises:
            Exception: What that raised, in all of them.
        """
        if self.count == 1:
            return make()
        made, error = None, None
        if self.main:
            try:
                made = make()
            except Exception as raised:
                error = self._portable(raised)
        sent: list[Any] = [(made, error)]
        dist.broadcast_object_list(sent, src=0, group=self.group)
        if sent[0][1] is not None:
            raise sent[0][1]
        return made if self.main else sent[0][0]  # type: ignore[return-value]

    def _portable(self, error: Exception) -> Exception:
        """The error, if it can be told to other processes: what one of them deals with, all of them do."""
        try:
            if type(pickle.loads(pickle.dumps(error))) is type(error):
                return error
        except Exception:
            pass
        return RuntimeError(f"Process {self.rank} of {self.count} failed: {type(error).__name__}: {error}")

    def _gather(self, own: Any) -> list[Any]:
        everyone: list[Any] = [None] * self.count
        dist.all_gather_object(everyone, own, group=self.group)
        return everyone


ALONE = Processes()


def own_device() -> str | None:
    """Where this process of several puts its model: an accelerator of its own; None for a single process."""
    if launched() is ALONE:
        return None
    if not torch.accelerator.is_available():
        return "cpu"
    kind = torch.accelerator.current_accelerator()
    assert kind is not None
    return f"{kind.type}:{os.environ.get('LOCAL_RANK', '0')}"


def launched() -> Processes:
    """
    The processes that were launched together with this one, by accelerate, torchrun or otherwise; a single one where
    none were. They are connected if they are not yet.

    Raises:
        ValueError: If they cannot be connected, or were launched to hold parts of the model in a way of their own.
        RuntimeError: If some of them do not get here.
    """
    if not dist.is_available():
        return ALONE
    if not dist.is_initialized():
        wanted = int(os.environ.get("WORLD_SIZE", 1))
        if wanted == 1:
            return ALONE
        from accelerate import PartialState

        kinds = [
            kind for kind in ("FSDP", "DEEPSPEED", "MEGATRON_LM") if os.environ.get(f"ACCELERATE_USE_{kind}") == "true"
        ]
        if kinds:
            raise ValueError(
                f"accelerate is configured for {kinds[0]}, by which models are trained: launch with `--multi_gpu` (or "
                "`--cpu`), and each process holds the whole model; or call `fit` with a model that is spread already."
            )
        PartialState(cpu=not torch.accelerator.is_available())
        if not dist.is_initialized():
            raise ValueError(
                f"{wanted} processes were launched (WORLD_SIZE={wanted}) and cannot be connected on this machine: "
                "launch one."
            )
    count = dist.get_world_size()
    if count == 1:
        return ALONE
    group = _on_cpu(dist.group.WORLD)
    try:
        dist.monitored_barrier(group, wait_all_ranks=True)
    except RuntimeError as error:
        raise RuntimeError(
            f"Not all of the {count} processes that were launched got here, and all must make this call: {error}"
        ) from error
    return Processes(dist.get_rank(), count, True, group)


@functools.lru_cache(maxsize=1)
def _on_cpu(world: Any) -> Any:
    """All processes, connected on the CPU whatever accelerators are connected by: numbers that were read go there."""
    return dist.new_group(backend="gloo")


def spread(model: nn.Module) -> bool:
    """
    Whether the parts of a model are in several processes, as by tensor parallelism and FSDP2.

    Raises:
        ValueError: If they are, in a way in which nothing can be read of it.
    """
    parameters = list(model.parameters())
    if any(hasattr(parameter, "ds_id") for parameter in parameters):
        raise ValueError(
            "The model's parameters are partitioned by DeepSpeed (ZeRO 3), which is not supported: use FSDP2 "
            "(`fully_shard`), tensor parallelism (`tp_plan='auto'`), `device_map`, or a whole model in each process."
        )
    return any(isinstance(parameter, DTensor) and parameter.device_mesh.size() > 1 for parameter in parameters)
