"""Networks computed in other ways: compiled, or with activations made twice, and what stays the same."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from several import CPU, still
from toy import NETWORK, TRANSFORMER, batch, pixelwise_task

from wsss.benchmark import Unsupported
from wsss.benchmark.networks import economy, image_network, point_network
from wsss.benchmark.networks.economy import blocks, compiled, recompute
from wsss.benchmark.networks.shared_norm import SharedBatchNorm, normalise, share_statistics
from wsss.benchmark.spec import NetworkConfig, PointNetworkConfig
from wsss.methods.ema import EMA, Config
from wsss.methods.partial import Partial
from wsss.methods.sasformer import SASFormer

LITE = NetworkConfig(weights="none", channels=32)
"""timm's encoder, whose layers hold their activation."""
TOLERANCE = 1e-4


def computed(config, cls=Partial, twice=False):
    """Terms, gradients and buffers of a step, with dropout."""
    method = cls(cls.Config(), replace(pixelwise_task(), image_network=lambda: image_network(config, 3, 0))).train()
    if twice:
        recompute(method)
    torch.manual_seed(0)
    terms = method.losses(batch(size=(64, 64)), 1.0)
    torch.stack(list(terms.values())).sum().backward()
    return terms, {path: p.grad for path, p in method.named_parameters()}, dict(method.named_buffers())


@pytest.mark.parametrize(("config", "cls"), [(NETWORK, Partial), (LITE, Partial), (TRANSFORMER, SASFormer)])
def test_activations_made_twice_change_no_bit(config, cls):
    for one, other in zip(computed(config, cls), computed(config, cls, twice=True), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            again = other[name]
            if value is None or again is None:
                assert value is again, name
            else:
                assert torch.equal(value, again), name


@pytest.mark.parametrize(("config", "least"), [(NETWORK, 8), (LITE, 10), (TRANSFORMER, 8)])
def test_blocks_hold_most_of_an_encoder(config, least):
    encoder = image_network(config, 3, 0).encoder
    found = blocks(encoder)
    assert len(found) >= least and len({id(block) for block in found}) == len(found)
    inside = sum(p.numel() for block in found for p in block.parameters())
    assert inside > 0.8 * sum(p.numel() for p in encoder.parameters())


def test_the_network_of_points_makes_them_twice_too():
    network = point_network(PointNetworkConfig(), 3, 0)
    recompute(torch.nn.ModuleList([network]))
    assert network.backbone.checkpointing


def test_a_compiled_network_gives_nearly_the_same_and_is_plain_again_afterwards():
    """In a process of its own: the compiler would compile the checks of annotations too."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    if "Unsupported: " in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    apart = json.loads(done.stdout)
    assert {"supervised", "consistency", "student.hidden.weight"} <= apart.keys()
    assert max(apart.values()) <= TOLERANCE, apart


def step_compiled_and_not():
    """How far terms and gradients of a step are apart, as a share of their largest entry."""
    found = []
    for wanted in (False, True):
        method = EMA(Config(threshold=0.0), pixelwise_task())
        with compiled(method, CPU, wanted):
            terms = method.losses(batch(), 1.0)
            torch.stack(list(terms.values())).sum().backward()
            assert (method.student._compiled_call_impl is not None) == wanted
        assert method.student._compiled_call_impl is None
        gradients = {path: p.grad for path, p in method.named_parameters() if p.grad is not None}
        found.append({name: value.detach() for name, value in {**terms, **gradients}.items()})
    return {name: float((found[1][name] - value).abs().max() / value.abs().max()) for name, value in found[0].items()}


def test_a_machine_without_compiler_is_told_so(monkeypatch):
    def broken(function):
        raise RuntimeError("no g++")

    monkeypatch.setattr(economy.torch, "compile", broken)
    with (
        pytest.raises(Unsupported, match=r"torch.compile does not work on cpu here \(RuntimeError\): install a C\+\+"),
        compiled(EMA(Config(), pixelwise_task()), CPU, True),
    ):
        pass


@pytest.mark.parametrize("config", [NETWORK, LITE])
def test_shared_statistics_of_one_process_are_its_own(config):
    """In a group of one the layers in plain torch do what torch's do."""
    plain, shared = (still(image_network(config, 3, 0)).double().train() for _ in range(2))
    share_statistics(shared, CPU)
    assert any(isinstance(module, SharedBatchNorm) for module in shared.modules())
    assert plain.state_dict().keys() == shared.state_dict().keys()
    image = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double()
    for network in (plain, shared):
        network(image).logits.square().mean().backward()
    gradients = [[p.grad for p in network.parameters() if p.grad is not None] for network in (plain, shared)]
    largest = max(float(gradient.abs().max()) for gradient in gradients[0])
    for one, other in zip(*gradients, strict=True):  # that of a bias before another such layer is nothing but rounding
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9 * largest)
    for (path, one), other in zip(plain.named_buffers(), shared.buffers(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-9, msg=path)
    with torch.no_grad():
        torch.testing.assert_close(shared.eval()(image).low, plain.eval()(image).low)


@pytest.mark.parametrize("settings", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}])
def test_a_shared_layer_is_torchs_whatever_its_settings(settings):
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.BatchNorm1d(5, **settings) for _ in range(2))
    for _ in range(2):
        torch.testing.assert_close(normalise(ours, x, x), theirs(x))
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_layer_that_nobody_knows_is_named():
    class Strange(torch.nn.BatchNorm2d):
        pass

    with pytest.raises(Unsupported, match="cannot share the statistics of a Strange: choose another encoder"):
        share_statistics(torch.nn.Sequential(Strange(3)), CPU)


if __name__ == "__main__":
    print(json.dumps(step_compiled_and_not()))
