import pytest
import torch
from timm.optim.muon import _COEFFICIENTS, zeropower_via_newtonschulz
from torch import nn

from cryo_pick.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(48, 1296), (300, 7), (16, 16), (1, 5)])
def test_orthogonalising_equals_timm_in_fp32(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected = zeropower_via_newtonschulz(matrix, 5, _COEFFICIENTS["quintic"], dtype=torch.float32)
    # timm multiplies the long side ten times, ours twice: rounding differs, no more.
    torch.testing.assert_close(orthogonalize(matrix), expected, rtol=0, atol=1e-4)


def test_singular_values_of_any_gradient_come_near_one():
    generator = torch.Generator().manual_seed(2)
    u, _ = torch.linalg.qr(torch.randn(20, 20, generator=generator))
    v, _ = torch.linalg.qr(torch.randn(500, 20, generator=generator))
    matrix = u @ torch.diag(torch.logspace(0, -1.5, 20)) @ v.T
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values.min() > 0.9
    assert values.max() < 1.1


def test_a_zero_gradient_moves_nothing():
    assert torch.equal(orthogonalize(torch.zeros(3, 9)), torch.zeros(3, 9))


def test_vectors_take_the_steps_of_adamw():
    start = torch.tensor([1.0, -2.0, 3.0])
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = [
        Muon([ours], lr=0.1, weight_decay=0.3),
        torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.3, betas=(0.9, 0.95)),
    ]
    for scale in (1.0, -3.0, 0.5):
        for p, optimizer in zip((ours, theirs), optimizers, strict=True):
            p.grad = scale * torch.tensor([1.0, 0.1, -2.0])
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_matrix_moves_by_momentum_decay_and_size_as_written():
    p = nn.Parameter(torch.eye(16, 40).reshape(16, 10, 4).clone())
    before, optimizer = p.detach().clone(), Muon([p], lr=0.5, weight_decay=0.1)
    p.grad = torch.randn(16, 10, 4, generator=torch.Generator().manual_seed(3))
    direction = orthogonalize(p.grad.flatten(1)).view_as(p)
    optimizer.step()
    # The first momentum is a twentieth of the gradient, and orthogonalising forgets the size.
    expected = before * (1 - 0.05) - 0.5 * 0.2 * 40**0.5 * direction
    torch.testing.assert_close(p.detach(), expected, rtol=1e-4, atol=1e-5)


def test_an_output_layer_of_few_classes_takes_the_steps_of_adamw():
    start = torch.randn(7, 128, generator=torch.Generator().manual_seed(4))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    for p, optimizer in (
        (ours, Muon([ours], lr=0.1)),
        (theirs, torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.0, betas=(0.9, 0.95))),
    ):
        p.grad = start.sin()
        optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_state_goes_on_after_saving():
    def train(steps, state=None):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv3d(2, 16, 3), nn.Conv3d(16, 3, 1))
        optimizer = Muon(module.parameters(), lr=0.01)
        if state:
            module.load_state_dict(state[0])
            optimizer.load_state_dict(state[1])
        x = torch.randn(2, 2, 5, 5, 5, generator=torch.Generator().manual_seed(1))
        for _ in range(steps):
            optimizer.zero_grad()
            module(x).square().mean().backward()
            optimizer.step()
        return module.state_dict(), optimizer.state_dict()

    whole, parts = train(6)[0], train(3, train(3))[0]
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
