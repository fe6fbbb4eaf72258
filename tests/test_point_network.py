"""The network of points: what it computes against plain loops, and what it promises about batches, voxels and files."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.benchmark.errors import UsageError
from wsss.benchmark.networks.point_layers import Attention, DropPath, Pool, Unpool, VoxelNorm, take_rows
from wsss.benchmark.networks.point_level import voxelise
from wsss.benchmark.networks.point_order import ORDERS, hilbert_code
from wsss.benchmark.networks.points import SIZES, PointNetwork, point_network
from wsss.benchmark.networks.weights import digest
from wsss.benchmark.spec import PointNetworkConfig

SMALL = replace(
    SIZES["tiny"],
    encoder_channels=(8, 16, 16, 16),
    encoder_heads=(1, 2, 2, 2),
    decoder_channels=(8, 8, 16),
    decoder_heads=(1, 1, 2),
    patch=16,
)
ANY = PointNetworkConfig()


def cloud(counts=(150, 90), side=1.0, seed=0):
    """Random points in cubes, one per image."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return side * torch.rand(len(image), 3, generator=generator), torch.rand(len(image), 3, generator=generator), image


def small(classes=4, **changes) -> PointNetwork:
    torch.manual_seed(7)
    network = PointNetwork(replace(SMALL, **changes), classes, voxel=0.05)
    with torch.no_grad():  # as if trained: means and variances that are not 0 and 1
        for module in network.modules():
            if isinstance(module, VoxelNorm) and module.running_mean is not None and module.running_var is not None:
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return network


def gradients(network: nn.Module) -> list[Tensor]:
    found = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None for gradient in found)
    return [gradient.clone() for gradient in found if gradient is not None]


def level_of(counts=(50, 7, 33), side=0.4):
    xyz, _, image = cloud(counts, side)
    return voxelise(xyz, image, 0.05).level


# What it computes


def test_voxels_are_the_means_of_their_points():
    xyz, rgb, image = cloud((60, 40), side=0.2)
    voxels = voxelise(xyz, image, 0.05)
    members: dict[tuple[int, ...], list[int]] = {}
    for point, (cell, whose) in enumerate(zip((xyz / 0.05).floor().int().tolist(), image.tolist(), strict=True)):
        members.setdefault((whose, *cell), []).append(point)
    assert len(voxels.level) == len(members) < len(xyz)
    mean = voxels.mean(rgb)
    for points in members.values():
        torch.testing.assert_close(mean[voxels.of_point[points]], rgb[points].mean(0).expand(len(points), 3))
    cells, whose = voxels.level.cells[voxels.of_point], voxels.level.image[voxels.of_point]
    assert torch.equal(whose, image)
    for one in (0, 1):
        expected = (xyz / 0.05).floor().long()[image == one]
        assert torch.equal(cells[image == one], expected - expected.amin(0))
    assert (voxels.level.code.diff() > 0).all()


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("size", [8, 16, 64])
def test_attention_is_that_of_a_loop_over_patches_and_heads(order, size):
    level = level_of()
    torch.manual_seed(0)
    attention, x = Attention(8, 2), torch.randn(len(level), 8)
    q, k, v = attention.qkv(x).view(-1, 3, 2, 4).unbind(1)
    expected = torch.zeros(len(level), 2, 4)
    for image in range(3):
        curve = level._curve(ORDERS[order])
        curve = curve[level.image[curve] == image].tolist()
        for rank, voxel in enumerate(curve):
            begin = rank // size * size
            places = range(begin, min(begin + size, len(curve)))
            missing = size - len(places) if len(curve) >= size else 0
            keys = [curve[place] for place in places]
            keys += [curve[begin + size - missing + i - size] for i in range(missing)]
            for head in range(2):
                score = (k[keys, head] @ q[voxel, head] / 4**0.5).softmax(0)
                expected[voxel, head] = score @ v[keys, head]
    torch.testing.assert_close(attention(x, level.patches(order, size)), attention.proj(expected.flatten(1)))


def test_pooling_takes_the_maximum_and_unpooling_spreads_it():
    level = level_of()
    torch.manual_seed(0)
    pool, unpool, x = Pool(4, 6, 1, 0.1).eval(), Unpool(6, 4, 5, 0.1).eval(), torch.randn(len(level), 4)
    y, coarse, cluster = pool(x, level)
    parents = torch.cat([level.image[:, None], level.cells >> 1], 1)
    kinds = parents.unique(dim=0)
    assert len(coarse) == len(kinds) < len(level) and coarse.depth == level.depth - 1
    assert torch.equal(torch.cat([coarse.image[:, None], coarse.cells], 1)[cluster], parents)
    projected = pool.proj(x)
    for parent in kinds:
        inside = (parents == parent).all(1)
        expected = F.gelu(projected[inside].amax(0) / (1 + 1e-3) ** 0.5)
        torch.testing.assert_close(y[cluster[inside][0]], expected)
    together, local = unpool(y, x, cluster)
    torch.testing.assert_close(together - local, F.gelu(unpool.proj(y))[cluster])


def test_coarse_levels_stand_along_the_same_curves():
    level = level_of()
    coarse, _ = level.pool(2)
    assert torch.equal(coarse.code, level.pool(1)[0].pool(1)[0].code)
    along = coarse._curve("hilbert")
    codes = hilbert_code(coarse.cells, coarse.depth)[along]
    assert torch.equal(coarse.image[along], coarse.image.sort()[0])
    assert all((codes[coarse.image[along] == image].diff() > 0).all() for image in range(3))


def test_the_first_decoder_block_convolves_the_skip_connection_alone():
    network, seen = small().eval(), {}
    stage = network.backbone.dec["dec0"]
    stage.get_submodule("up").register_forward_hook(lambda _, inputs, output: seen.update(up=output))
    stage.get_submodule("block0.cpe.0").register_forward_hook(
        lambda _, inputs, output: seen.update(convolved=inputs[0])
    )
    network(*cloud())
    assert seen["convolved"] is seen["up"][1]
    assert not torch.equal(seen["up"][0], seen["up"][1])


def test_taking_rows_sums_the_gradient_of_many_small_parts():
    """In bfloat16 a sum of ones would stop at 256."""
    x, index = torch.rand(3, 2, dtype=torch.bfloat16).requires_grad_(), torch.tensor([1] * 1000 + [0])
    taken = take_rows(x, index)
    assert torch.equal(taken, x[index])
    taken.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[1, 1], [1000, 1000], [0, 0]]


def test_drop_path_drops_voxels_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(20000, 2)
    dropped = DropPath(0.3)(x)
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    torch.testing.assert_close(dropped.unique(), torch.tensor([0, 1 / 0.7]))
    assert abs(float(dropped.mean()) - 1) < 0.02
    assert DropPath(0.3).eval()(x) is x and DropPath(0.0)(x) is x


# Points, voxels and batches


def test_permuting_the_points_permutes_the_logits():
    network, (xyz, rgb, image) = small().eval(), cloud()
    turn = torch.randperm(len(xyz), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(xyz[turn], rgb[turn], image[turn]), network(xyz, rgb, image)[turn])


def test_images_do_not_see_each_other():
    """Nor does a wide neighbour, with its deeper curves, change an image's order."""
    network, (xyz, rgb, image) = small().eval(), cloud((150, 90, 3))
    xyz[image == 1] *= 40
    whole = network(xyz, rgb, image * 7 - 5)
    for one in range(3):
        mine = image == one
        torch.testing.assert_close(network(xyz[mine], rgb[mine], image[mine]), whole[mine])
    changed = network(xyz, torch.where(image[:, None] == 1, 1 - rgb, rgb), image)
    torch.testing.assert_close(changed[image != 1], whole[image != 1])
    assert not torch.allclose(changed[image == 1], whole[image == 1])


def test_every_voxel_of_an_image_matters_to_its_neighbours():
    """The receptive field reaches beyond a patch, or the network would be a perceptron."""
    network, (xyz, rgb, image) = small().eval(), cloud((150,))
    rgb = rgb.requires_grad_()
    network(xyz, rgb, image)[0].sum().backward()
    assert rgb.grad is not None
    assert int((rgb.grad.abs().sum(1) > 0).sum()) > 3 * 16


def test_points_of_a_voxel_share_their_logits_and_its_gradient():
    network = small().eval()
    xyz = torch.tensor([[0.01, 0.01, 0.01], [0.04, 0.03, 0.02], [0.31, 0.2, 0.1], [0.01, 0.01, 0.01]])
    rgb, image = torch.rand(4, 3, requires_grad=True), torch.tensor([0, 0, 0, 1])
    logits = network(xyz, rgb, image)
    assert torch.equal(logits[0], logits[1]) and not torch.allclose(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[3])
    logits[0].sum().backward()
    assert rgb.grad is not None
    torch.testing.assert_close(rgb.grad[0], rgb.grad[1])
    assert float(rgb.grad[0].abs().max()) > 0 == float(rgb.grad[3].abs().max())


@pytest.mark.parametrize("side", [1e-3, 1.0, 1000.0])
def test_any_scale(side):
    """From all points in one voxel to a kilometre."""
    network, (xyz, rgb, image) = small(), cloud(side=side)
    network(xyz - side / 2, rgb, image).sum().backward()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(network))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("counts", [(1,), (2,), (1, 1), (0, 3, 0, 20)])
def test_few_points(counts, training):
    network, (xyz, rgb, image) = small().train(training), cloud(counts)
    logits = network(xyz, rgb, image)
    assert logits.shape == (sum(counts), 4) and torch.isfinite(logits).all()
    logits.square().sum().backward()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(network))


def test_one_voxel_is_normalised_as_in_evaluation():
    network, (xyz, rgb, image) = small(drop_path=0.0), cloud((1,))
    before = digest(network)
    in_training = network.train()(xyz, rgb, image)
    assert digest(network) == before
    torch.testing.assert_close(in_training, network.eval()(xyz, rgb, image))


def test_no_points_give_no_logits_and_zero_gradients():
    network, before = small().train(), digest(small())
    logits = network(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    assert logits.shape == (0, 4)
    logits.sum().backward()
    assert all(not gradient.any() for gradient in gradients(network))
    assert digest(network) == before


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf"), 1e7])
def test_stray_coordinates_are_an_error(broken):
    xyz, rgb, image = cloud((5,))
    xyz[2, 1] = broken
    with pytest.raises(UsageError, match=r"points of an image span .* voxels of 0\.05 m, or are not finite"):
        small()(xyz, rgb, image)


# Training


def test_learns_200_points_by_heart():
    network, (xyz, rgb, image) = small(5, drop_path=0.0), cloud((120, 80), side=2.0)
    labels = torch.randint(0, 5, (200,), generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        F.cross_entropy(network(xyz, rgb, image), labels).backward()
        optimiser.step()
    with torch.no_grad():
        assert float((network.train()(xyz, rgb, image).argmax(1) == labels).float().mean()) > 0.95


def trained(network: PointNetwork, seed=3):
    torch.manual_seed(seed)
    network.zero_grad()
    loss = network.train()(*cloud()).square().mean()
    loss.backward()
    return loss.detach(), gradients(network), digest(network)


def test_the_same_seed_gives_the_same_bits_and_another_draws_another_dropout():
    (loss, found, after), (again, same, afterwards) = trained(small()), trained(small())
    assert torch.equal(loss, again) and after == afterwards
    assert all(torch.equal(a, b) for a, b in zip(found, same, strict=True))
    assert not torch.equal(trained(small(), seed=4)[0], loss)


def test_orders_are_shuffled_in_training_alone():
    network = small(drop_path=0.0)
    assert len({float(trained(network, seed)[0]) for seed in range(6)}) > 1
    network.eval()
    with torch.no_grad():
        first, state = network(*cloud()), torch.random.get_rng_state()
        assert torch.equal(network(*cloud()), first)
        assert torch.equal(torch.random.get_rng_state(), state)


def test_checkpointing_changes_neither_losses_nor_gradients_nor_statistics():
    plain, saving = small(), small()
    saving.backbone.checkpointing = True
    (loss, found, after), (again, same, afterwards) = trained(plain), trained(saving)
    assert torch.equal(loss, again) and after == afterwards
    for a, b in zip(found, same, strict=True):
        torch.testing.assert_close(a, b)
    calls = []
    for network in (plain, saving):
        seen: list[int] = []
        network.backbone.enc["enc1"].get_submodule("block0").register_forward_pre_hook(
            lambda *_, seen=seen: seen.append(1)
        )
        trained(network)
        calls.append(len(seen))
    assert calls == [1, 2]
    assert point_network(replace(ANY, checkpointing=True), 3, 0).backbone.checkpointing


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(precision):
    network, points = small().eval(), cloud()
    exact = network(*points)
    with torch.autocast("cpu", precision):
        rounded = network(*points)
        loss = network.train()(*points).square().mean()
    loss.backward()
    assert rounded.dtype == torch.float32
    assert 0 < float((rounded - exact).detach().norm() / exact.detach().norm()) < 0.03
    found = gradients(network)
    assert all(gradient.dtype == torch.float32 and torch.isfinite(gradient).all() for gradient in found)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_agrees():
    network, points = small().eval(), cloud()
    expected = network(*points)
    found = network.cuda()(*(column.cuda() for column in points))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)


# Sizes and weights


def test_sizes():
    millions = {size: sum(p.numel() for p in point_network(replace(ANY, size=size), 1, 0).backbone.parameters()) / 1e6
                for size in SIZES}  # fmt: skip
    assert 0.5 < millions["tiny"] < 2 < millions["small"] < 10
    assert round(millions["paper"], 1) == 46.2  # Pointcept's PT-v3m1 in its base configuration


def test_names_and_shapes_are_those_of_pointcept():
    with torch.device("meta"):
        shapes = {
            name: tuple(tensor.shape) for name, tensor in PointNetwork(SIZES["paper"], 13, 0.05).state_dict().items()
        }
    expected = {
        "backbone.embedding.stem.conv.weight": (32, 5, 5, 5, 6),
        "backbone.embedding.stem.norm.running_mean": (32,),
        "backbone.enc.enc0.block1.cpe.0.weight": (32, 3, 3, 3, 32),
        "backbone.enc.enc0.block1.cpe.0.bias": (32,),
        "backbone.enc.enc0.block1.cpe.1.weight": (32, 32),
        "backbone.enc.enc0.block1.cpe.2.weight": (32,),
        "backbone.enc.enc1.down.proj.weight": (64, 32),
        "backbone.enc.enc1.down.norm.0.weight": (64,),
        "backbone.enc.enc3.block5.norm1.0.weight": (256,),
        "backbone.enc.enc4.block1.attn.qkv.weight": (1536, 512),
        "backbone.enc.enc4.block1.attn.proj.bias": (512,),
        "backbone.enc.enc4.block1.norm2.0.bias": (512,),
        "backbone.enc.enc4.block1.mlp.0.fc1.weight": (2048, 512),
        "backbone.enc.enc4.block1.mlp.0.fc2.weight": (512, 2048),
        "backbone.dec.dec3.up.proj.0.weight": (256, 512),
        "backbone.dec.dec3.up.proj.1.running_var": (256,),
        "backbone.dec.dec3.up.proj_skip.0.weight": (256, 256),
        "backbone.dec.dec0.up.proj_skip.1.bias": (64,),
        "backbone.dec.dec0.block1.cpe.0.weight": (64, 3, 3, 3, 64),
        "seg_head.weight": (13, 64),
    }
    assert {name: shapes[name] for name in expected} == expected
    assert "backbone.enc.enc0.down.proj.weight" not in shapes and not any("dec4" in name for name in shapes)


def test_initial_weights_are_a_function_of_the_seed_and_leave_the_global_stream_alone():
    before = torch.random.get_rng_state()
    first = digest(point_network(ANY, 4, 0))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    assert digest(point_network(ANY, 4, 0)) == first
    assert digest(point_network(ANY, 4, 1)) != first
    assert digest(point_network(ANY, 5, 0)) != first


@pytest.fixture
def donor():
    """A network with other weights and statistics than any that is built here."""
    network = point_network(ANY, 4, 7)
    torch.manual_seed(0)
    network.train()(*cloud())
    return network


def renamed(network, prefix, head=None):
    """A state dict as a training program stores it."""
    stored = {f"{prefix}{name}": tensor for name, tensor in network.backbone.state_dict().items()}
    before = prefix.removesuffix("backbone.") if head is None else head
    return stored | {f"{before}seg_head.{name}": tensor for name, tensor in network.seg_head.state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone.", "module.student.backbone.", "student."])
@pytest.mark.parametrize("container", ["state_dict", "model", None])
def test_a_stored_network_comes_back(tmp_path, donor, prefix, container):
    stored = renamed(donor, prefix)
    torch.save({container: stored, "epoch": 3, "best": 0.5} if container else stored, tmp_path / "w.pth")
    loaded = point_network(replace(ANY, weights=str(tmp_path / "w.pth")), 4, 0)
    assert digest(loaded) == digest(donor)


def test_a_student_is_taken_and_not_its_teacher(tmp_path, donor):
    other = point_network(ANY, 4, 8)
    both = renamed(other, "module.teacher.backbone.") | renamed(donor, "module.student.backbone.")
    torch.save(both, tmp_path / "w.pth")
    assert digest(point_network(replace(ANY, weights=str(tmp_path / "w.pth")), 4, 0)) == digest(donor)


def test_a_head_of_other_classes_is_new(tmp_path, donor):
    torch.save(renamed(donor, "backbone."), tmp_path / "w.pth")
    loaded = point_network(replace(ANY, weights=str(tmp_path / "w.pth")), 6, 0)
    assert digest(loaded.backbone) == digest(donor.backbone)
    assert digest(loaded.seg_head) == digest(point_network(ANY, 6, 0).seg_head)


def test_counts_of_batches_may_be_missing(tmp_path, donor):
    stored = {name: tensor for name, tensor in renamed(donor, "").items() if "num_batches" not in name}
    torch.save(stored, tmp_path / "w.pth")
    loaded = point_network(replace(ANY, weights=str(tmp_path / "w.pth")), 4, 0)
    for name, tensor in loaded.state_dict().items():
        assert "num_batches" in name or torch.equal(tensor, donor.state_dict()[name])


def nine_inputs(stored):
    return stored | {"embedding.stem.conv.weight": torch.zeros(*stored["embedding.stem.conv.weight"].shape[:4], 9)}


def without_attention(stored):
    return {name: tensor for name, tensor in stored.items() if "enc1.block0.attn" not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nine_inputs, "the first layer takes 9 channels, this network's 6; give a checkpoint that was trained on"),
        (lambda stored: {"x": torch.zeros(1)}, "no name ends in embedding.stem.conv.weight; give a Point Transformer"),
        (lambda stored: [1, 2], "no name ends in embedding.stem.conv.weight"),
        (without_attention, "enc.enc1.block0.attn.qkv.weight is missing"),
        (lambda stored: stored | {"enc.enc1.down.proj.bias": torch.zeros(5)}, "enc.enc1.down.proj.bias has the shape"),
        (lambda stored: stored | {f"b.{name}": stored[name] for name in stored}, "several backbones, '', 'b.'; store"),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_says_why(tmp_path, donor, change, message):
    torch.save(change(renamed(donor, "")), tmp_path / "w.pth")
    with pytest.raises(UsageError) as error:
        point_network(replace(ANY, weights=str(tmp_path / "w.pth")), 4, 0)
    assert message in str(error.value) and str(tmp_path / "w.pth") in str(error.value)


class Stranger:
    """What a checkpoint must not bring along: any class of a program."""


@pytest.mark.parametrize("content", [b"PK\x03\x04 torn", b"", {"state_dict": {"x": Stranger()}}])
def test_damaged_files_and_pickled_objects_are_an_error(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(UsageError, match="not a readable state dict"):
        point_network(replace(ANY, weights=str(path)), 4, 0)


def test_a_missing_file_is_an_error():
    with pytest.raises(UsageError, match=r"'/nowhere/w\.pth': no such file; give the path of a checkpoint, or none"):
        point_network(replace(ANY, weights="/nowhere/w.pth"), 4, 0)
