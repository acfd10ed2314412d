"""Data-parallel training on a CPU: one single-threaded process a core, each with a share of every batch's rows.

Two processes of one thread pass a quarter more audio than one process of two threads: nothing waits at the end of each small operation.
Gradients are summed by torch.distributed's gloo once a step, and the leader's learning rate and end travel in the same buffer, so the
processes never disagree. The leader (rank 0) alone evaluates, writes and talks.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMEOUT = timedelta(hours=24)        # the leader may decode, let a teacher listen or evaluate while the others wait; they end with it


@dataclass(frozen=True)
class Team:
    """This process among those that train together; a team of one does nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Which rows of a batch are this process's."""
        return slice(self.rank, None, self.size)

    def agree(self, model: nn.Module) -> None:
        """Give every process the leader's weights and buffers."""
        if self.size > 1:
            for value in model.state_dict().values():
                dist.broadcast(value, 0)

    def tell(self, thing):
        """Anything that pickles, from the leader to everyone."""
        held = [thing]
        if self.size > 1:
            dist.broadcast_object_list(held, 0)
        return held[0]

    def average_gradients(self, model: nn.Module, said: list[float]) -> list[float]:
        """Replace gradients by their mean over the team; return what the leader `said`, to everyone."""
        if self.size == 1:
            return said
        gradients = [p.grad for p in model.parameters()]
        words = torch.tensor(said if self.leads else [0.0] * len(said), dtype=torch.float64)
        shared = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(words)
        dist.all_reduce(shared)
        _scatter(shared / self.size, gradients)
        return words.tolist()


def _scatter(flat: Tensor, into: list[Tensor]) -> None:
    for part, target in zip(flat.split([t.numel() for t in into]), into, strict=True):
        target.copy_(part.view_as(target))


def gather(size: int, follow: Callable, arguments: tuple) -> Team:
    """Start `size` - 1 followers, each running follow(team, *arguments), and join them as the leader.

    Followers end with this process. Every process computes with one thread.
    """
    if size == 1:
        return Team()
    port = _free_port()
    spawn = multiprocessing.get_context("spawn")
    for rank in range(1, size):
        spawn.Process(target=_follower, args=(Team(rank, size), port, follow, arguments), daemon=True).start()
    return _join(Team(0, size), port)


def _follower(team: Team, port: int, follow: Callable, arguments: tuple) -> None:
    import signal

    from asr.training.memory import keep_freed_memory
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)                            # Ctrl-C is the leader's to answer
    try:
        follow(_join(team, port), *arguments)
    except RuntimeError:                                                    # the leader has ended, and with it the connection
        os._exit(0)


def _join(team: Team, port: int) -> Team:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=team.rank, world_size=team.size, timeout=TIMEOUT)
    return team


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
