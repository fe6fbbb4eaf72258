"""The image network: any size, the same weights for everybody, and never other weights than asked for."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from toy import NETWORK, TRANSFORMER

from wsss.benchmark import Unsupported, UsageError
from wsss.benchmark.networks import has_attention, image_network
from wsss.benchmark.networks.weights import digest
from wsss.benchmark.spec import NetworkConfig


@pytest.mark.parametrize("size", [(64, 96), (50, 71), (1, 1), (33, 200)])
def test_logits_have_the_size_of_the_image(size):
    network = image_network(NETWORK, 5, 0).eval()
    with torch.no_grad():
        prediction = network(torch.rand(2, 3, *size))
    assert prediction.logits.shape == (2, 5, *size)
    assert prediction.low.shape[1] == 5 and prediction.features.shape[-2:] == prediction.low.shape[-2:]


def test_maps_are_padded_as_the_image_was():
    with torch.no_grad():
        prediction = image_network(NETWORK, 4, 0).eval()(torch.rand(1, 3, 50, 71))
    padded = prediction.pad(torch.zeros(1, 2, 50, 71), 1.0)
    assert padded.shape == (1, 2, 64, 96) == (1, 2, *prediction.padded)
    assert not padded[..., :50, :71].any() and int(padded.sum()) == 2 * (64 * 96 - 50 * 71)


@pytest.mark.parametrize("architecture", ["Unet", "DeepLabV3Plus", "Segformer"])
def test_other_architectures_fit(architecture):
    network = image_network(replace(NETWORK, architecture=architecture), 4, 0).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64)).logits.shape == (1, 4, 64, 64)


def test_segformer_on_a_transformer_encoder():
    config = NetworkConfig(architecture="Segformer", encoder="mit_b0", weights="none", channels=32)
    with torch.no_grad():
        assert image_network(config, 4, 0).eval()(torch.rand(1, 3, 64, 96)).logits.shape == (1, 4, 64, 96)


def test_initial_weights_are_a_function_of_the_seed_and_leave_the_global_stream_alone():
    before = torch.random.get_rng_state()
    first = digest(image_network(NETWORK, 4, 0))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    assert digest(image_network(NETWORK, 4, 0)) == first
    assert digest(image_network(NETWORK, 4, 1)) != first
    assert digest(image_network(NETWORK, 5, 0)) != first


def test_packaged_weights_see_a_photograph_as_imagenet_does():
    """The first layer of a trained network is not what initialisation gives: its filters have structure."""
    packaged = image_network(NetworkConfig(), 4, 0).encoder.state_dict()
    other_seed = image_network(NetworkConfig(), 4, 1).encoder.state_dict()
    random = image_network(NetworkConfig(weights="none"), 4, 0).encoder.state_dict()
    assert all(torch.equal(packaged[name], other_seed[name]) for name in packaged)
    changed = [name for name in packaged if not torch.equal(packaged[name], random[name])]
    assert len(changed) > 0.75 * len([name for name in packaged if "num_batches" not in name])
    assert float(packaged["model.bn1.running_var"].std()) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "Unett"}, "unknown architecture 'Unett': did you mean 'Unet'"),
        ({"encoder": "resnet19"}, "unknown encoder 'resnet19': did you mean 'resnet1"),
        ({"encoder": "tu-no_such_thing"}, "cannot build FPN on tu-no_such_thing"),
        ({"weights": "packaged"}, "weights 'packaged' exist for tu-tf_efficientnet_lite0 only, not for resnet18"),
        ({"weights": "/nowhere/w.pth"}, "no such file; known names are packaged, imagenet and none"),
    ],
)
def test_what_cannot_be_had_is_an_error_that_says_what_can(changes, message):
    with pytest.raises(UsageError) as error:
        image_network(replace(NETWORK, **changes), 4, 0)
    assert message in str(error.value)


def test_weights_from_a_file(tmp_path):
    donor = image_network(NETWORK, 4, 7)
    torch.save(donor.encoder.state_dict(), tmp_path / "w.pth")
    loaded = image_network(replace(NETWORK, weights=str(tmp_path / "w.pth")), 4, 0)
    assert digest(loaded.encoder) == digest(donor.encoder)
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UsageError, match="do not fit the encoder"):
        image_network(replace(NETWORK, weights=str(tmp_path / "other.pth")), 4, 0)
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UsageError, match="not a readable state dict"):
        image_network(replace(NETWORK, weights=str(tmp_path / "torn.pth")), 4, 0)


def test_unreachable_hub_is_an_error_with_the_next_step(monkeypatch):
    script = (
        "import os; os.environ['HF_HUB_OFFLINE'] = '1'\n"
        "from wsss.benchmark.networks import image_network; from wsss.benchmark.spec import NetworkConfig\n"
        "image_network(NetworkConfig(encoder='mit_b0', weights='imagenet'), 4, 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/")
    assert "cannot be fetched from the model hub" in done.stderr.splitlines()[-1]
    assert "--network.weights PATH" in done.stderr.splitlines()[-1]


def test_a_cuda_built_torchvision_imports_beside_a_cpu_torch():
    script = "import wsss.benchmark.torchvision_on_cpu, torchvision; print(torchvision.__version__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("size", "queries", "keys"),
    [((64, 96), (16, 24), (2, 3)), ((96, 64), (24, 16), (3, 2)), ((50, 71), (16, 24), (2, 3))],
)
def test_attention_tells_where_each_stage_looks(size, queries, keys):
    network = image_network(TRANSFORMER, 4, 0).eval()
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        prediction, stages = network.attend(image)
        assert torch.equal(prediction.low, network(image).low)
    assert [stage.queries for stage in stages] == [(queries[0] >> k, queries[1] >> k) for k in range(4)]
    assert [stage.keys for stage in stages] == [keys] * 4
    for stage in stages:
        assert stage.weights.shape == (2, stage.queries[0] * stage.queries[1], stage.keys[0] * stage.keys[1])
        assert float(stage.weights.min()) >= 0 and float(stage.weights.std(-1).max()) > 0
        torch.testing.assert_close(stage.weights.sum(-1), torch.ones(stage.weights.shape[:2]))


def test_attention_is_the_mean_over_blocks_and_heads_of_what_they_compute():
    """Against queries and keys of the last stage's own layers, which has several heads and blocks."""
    network = image_network(TRANSFORMER, 4, 0).eval()
    blocks = list(network.encoder.get_submodule("block4").children())
    heads = 8
    said = {}
    for block in blocks:
        for name in ("q", "kv"):
            layer = block.get_submodule(f"attn.{name}")
            layer.register_forward_hook(lambda layer, _, output: said.update({layer: output}))
    with torch.no_grad():
        _, stages = network.attend(torch.rand(1, 3, 64, 96))
    expected = []
    for attention in (block.get_submodule("attn") for block in blocks):
        q, k = said[attention.get_submodule("q")][0], said[attention.get_submodule("kv")][0].chunk(2, -1)[0]
        for queries, keys in zip(q.chunk(heads, -1), k.chunk(heads, -1), strict=True):
            expected.append((queries @ keys.T / queries.shape[-1] ** 0.5).softmax(-1))
    assert len(expected) == len(blocks) * heads > heads
    torch.testing.assert_close(stages[3].weights[0], torch.stack(expected).mean(0))


def test_attending_leaves_nothing_behind():
    network = image_network(TRANSFORMER, 4, 0)
    with pytest.raises(RuntimeError):
        network.attend(torch.rand(1, 3, 64, 64, device="meta"))
    network.attend(torch.rand(2, 3, 64, 64))
    assert not [name for name, module in network.named_modules() if module._forward_pre_hooks]


def test_attention_that_is_not_computed_is_an_error():
    """As by a fused kernel, of which a hook sees nothing."""
    network = image_network(TRANSFORMER, 4, 0)
    for name, module in network.encoder.named_modules():
        if name.endswith(".attn"):
            module.forward = lambda x, *size: x
    with pytest.raises(Unsupported, match=r"install the one in constraints\.txt"):
        network.attend(torch.rand(2, 3, 64, 64))


@pytest.mark.parametrize("encoder", ["resnet18", "tu-tf_efficientnet_lite0", "no_such_encoder"])
def test_no_attention_is_told_beforehand_and_is_an_error(encoder):
    assert has_attention(TRANSFORMER)
    assert not has_attention(NetworkConfig(encoder=encoder))
    with pytest.raises(Unsupported, match="no self-attention: choose an encoder of mit_b0 to b5"):
        image_network(NETWORK, 4, 0).attend(torch.rand(1, 3, 64, 64))
