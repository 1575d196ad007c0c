"""Several processes on the CPU, connected by gloo, that run the same function."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as multiprocessing


# Processes begin as copies of one that has imported what takes long, and started no thread.
multiprocessing.set_forkserver_preload(["tests.conftest", "hf_eraser.fitting", "tests.fitting.test_fit"])


def in_processes(count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """
    What a function of a module gives in each of `count` processes, launched as torchrun does; of one, what it
    gives in a process with as many threads.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.start_processes(
            _run, (count, port, folder, function, arguments), nprocs=count, start_method="forkserver"
        )
        return [torch.load(Path(folder, str(rank)), weights_only=False) for rank in range(count)]


def _run(rank: int, count: int, port: int, folder: str, function: Callable[..., Any], arguments: Any) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.save(function(*arguments), Path(folder, str(rank)))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
