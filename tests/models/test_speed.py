"""Choosing how a step runs."""

import torch
from torch import nn

from models.speed import Bench, Measured, Speed, _fastest, _with_compile, choose


def bench() -> Bench:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.LazyLinear(2))
    net(torch.zeros(1, 3, 8, 8))
    image, target = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 0, 1])
    return Bench(net, nn.CrossEntropyLoss(), lambda net: torch.optim.SGD(net.parameters(), lr=0.1), image, target)


def test_measuring_leaves_weights_random_numbers_and_threads_alone():
    made = bench()
    before = {name: value.clone() for name, value in made.net.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    choose(made, steps=10, threads=[1, 2])
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(before[name], value) for name, value in made.net.state_dict().items())


def test_every_candidate_is_measured_and_one_of_them_chosen():
    best, table = choose(bench(), steps=10, threads=[1, 2])
    assert {row.mode for row in table} == {"fp32", "fp32+channels_last", "bf16+channels_last"}
    assert best in table


def row(mode: str, step_ms: float, first_step_s: float = 0.0) -> Measured:
    return Measured(mode, 1, step_ms, first_step_s)


def test_a_bolder_mode_must_be_clearly_faster():
    assert _fastest([row("fp32", 100), row("bf16+channels_last", 97)]).mode == "fp32"
    assert _fastest([row("fp32", 100), row("bf16+channels_last", 60)]).mode == "bf16+channels_last"


def test_compiling_must_repay_itself_within_the_run():
    plain, compiled = row("fp32", 100), row("fp32+compile", 80, first_step_s=30)
    assert _with_compile(plain, compiled, steps=1000).mode == "fp32"  # saves 20 s of 30
    assert _with_compile(plain, compiled, steps=2000).mode == "fp32+compile"


def test_the_words_become_precision_and_layout():
    net = Speed("bf16+channels_last").apply(nn.Conv2d(3, 8, 3))
    assert Speed("bf16+channels_last").precision == "bf16-mixed" and Speed("fp32").precision == "32-true"
    assert net.weight.is_contiguous(memory_format=torch.channels_last)
