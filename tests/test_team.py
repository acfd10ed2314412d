"""Processes that train together: same weights, the mean of their gradients, the leader's word."""

import multiprocessing

import torch
from torch import nn

from asr.training.team import Team, gather

ENDS_S = 60


def step(team: Team, path):
    """One step of a process: gradients of its rank's size; writes what it has afterwards to `path` + its rank."""
    torch.manual_seed(team.rank)
    model = nn.Linear(3, 2)
    team.agree(model)
    for p in model.parameters():
        p.grad = torch.full_like(p, 1.0 + team.rank)
    said = team.average_gradients(model, [0.5, 7.0] if team.leads else [9.0, 9.0])
    found = {"weights": model.weight.detach(), "gradients": [p.grad for p in model.parameters()], "said": said,
             "told": team.tell(team.rank)}
    torch.save(found, f"{path}{team.rank}")


def test_two_processes_agree(tmp_path):
    """Both end with the leader's weights, the mean gradient and the leader's numbers."""
    path = str(tmp_path / "found")
    threads = torch.get_num_threads()
    try:
        step(gather(2, step, (path,)), path)
        for child in multiprocessing.active_children():
            child.join(ENDS_S)
    finally:
        torch.set_num_threads(threads)
        torch.distributed.destroy_process_group()
    one, two = (torch.load(f"{path}{rank}") for rank in (0, 1))
    torch.testing.assert_close(one["weights"], two["weights"], atol=0, rtol=0)
    for found in (one, two):
        assert all((g == 1.5).all() for g in found["gradients"])
        assert found["said"] == [0.5, 7.0]
        assert found["told"] == 0


def test_shares_cover_a_batch_once():
    """Every row of a batch is one process's."""
    rows = list(range(11))
    assert sorted(row for rank in range(3) for row in rows[Team(rank, 3).share]) == rows
