"""The tree energy: what it averages over, where its gradient goes, and what its trees are built from."""

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from toy import NETWORK, SIZE, Toy, batch, pixelwise_task, spec, toy

from wsss.benchmark import IGNORE, Task, UsageError, discovery
from wsss.benchmark.loader import TrainingSet, batches
from wsss.benchmark.networks import image_network
from wsss.benchmark.spec import TrainConfig, to_plain
from wsss.benchmark.supervision import Supervision
from wsss.methods._tree_filter import spanning_tree, tree_filter
from wsss.methods.tel import CODE, PAPER, TEL, Config, LowTree


def pixelwise(**changes):
    torch.manual_seed(0)
    return TEL(Config(**changes), pixelwise_task())


def convolutional(architecture="FPN", **changes):
    torch.manual_seed(0)
    network = replace(NETWORK, architecture=architecture)
    return TEL(Config(**changes), Task(classes=Toy.classes, image_network=lambda: image_network(network, 3, 0)))


def energy(method, given):
    return method.losses(given, 0.5)["tree"]


def test_is_the_mean_distance_to_the_filtered_probabilities():
    method, given = pixelwise(), batch()
    prediction = method.student(given.strong)
    probabilities = prediction.logits.softmax(1)
    assert method.branch is not None
    low = tree_filter(probabilities, given.image, 0.002, valid=given.valid)
    features = method.branch(prediction.features.masked_fill(~given.valid[:, None], 0))
    smooth = tree_filter(low, features, 1.0, valid=given.valid)
    unlabelled = given.valid & (given.labels == IGNORE)
    distance = (probabilities - smooth).abs().sum(1)[unlabelled].mean()
    torch.testing.assert_close(energy(method, given), 0.4 * distance)
    assert bool(distance > 0)
    only_low = (probabilities - low).abs().sum(1)[unlabelled].mean()
    torch.testing.assert_close(energy(pixelwise(high=False), given), 0.4 * only_low)


def test_is_zero_where_all_is_labelled_and_for_one_opinion():
    method, given = pixelwise(), batch()
    labelled = replace(given, labels=torch.where(given.valid, 0, IGNORE))
    assert bool(energy(method, labelled) == 0)
    flat = replace(given, strong=torch.full_like(given.strong, 0.3))
    assert bool(energy(method, flat) < 1e-5)


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_reaches_the_branch_unless_the_target_is_fixed(detach):
    method, given = pixelwise(detach=detach), batch()
    parameters = dict(method.named_parameters())
    gradients = torch.autograd.grad(energy(method, given), list(parameters.values()), allow_unused=True)
    moved = {name for name, g in zip(parameters, gradients, strict=True) if g is not None and bool((g != 0).any())}
    assert any(name.startswith("branch") for name in moved) != detach
    assert "student.hidden.weight" in moved


def test_detaching_changes_the_gradient_and_not_the_value():
    given = batch()
    through, fixed = (energy(pixelwise(detach=detach), given) for detach in (False, True))
    assert torch.equal(through, fixed)
    gradients = []
    for detach in (False, True):
        method = pixelwise(detach=detach)
        gradients += torch.autograd.grad(energy(method, given), method.student.get_parameter("hidden.weight"))
    assert not torch.allclose(*gradients)


def test_void_takes_part_only_on_demand():
    given = batch()
    void = ~given.valid[:, None].expand_as(given.image)
    changed = replace(given, strong=torch.where(void, 1 - given.strong, given.strong))
    for option in (False, True):
        method = pixelwise(void=option)
        assert torch.equal(energy(method, given), energy(method, changed)) != option


@pytest.mark.parametrize("size", [(64, 96), (40, 56)])
@pytest.mark.parametrize(("architecture", "stride"), [("FPN", 4), ("Unet", 1), ("DeepLabV3Plus", 4)])
def test_the_trees_lie_on_the_grid_of_the_logits(architecture, stride, size):
    method, given = convolutional(architecture), batch(size=size)
    assert method.low_tree == LowTree(multiple=32, stride=stride, void=False)
    prediction = method.student(given.strong)
    colours, taking_part = method.low_tree.colours(given), method.low_tree.taking_part(given)
    assert colours.shape[-2:] == prediction.low.shape[-2:] == taking_part.shape[-2:]
    assert method.preparation()(given).shape == (2, 3, taking_part[0].numel())
    rows, columns = -(-size[0] // stride), -(-(size[1] - 4) // stride)  # the right margin of the batch is invalid
    assert bool(taking_part[:, :rows, :columns].all())
    assert int(taking_part.sum()) == 2 * rows * columns
    corners = given.labels[:, ::stride, ::stride][:, :rows, :columns]
    assert torch.equal(method.low_tree.unlabelled(given)[:, :rows, :columns], corners == IGNORE)
    assert pixelwise().low_tree == LowTree(multiple=1, stride=1, void=False)


def test_the_probe_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    fresh, method = image_network(NETWORK, 3, 0), convolutional()
    assert method.student.training
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, method.student.state_dict()[name]), name


def test_low_trees_come_from_the_weak_view():
    method, given = pixelwise(), batch()
    tree = method.preparation()(given)
    assert torch.equal(tree, method.preparation()(replace(given, strong=1 - given.strong)))
    assert torch.equal(tree, spanning_tree(given.image, given.valid))


@pytest.mark.parametrize("size", [(64, 96), (40, 56)])
def test_prepared_trees_change_no_bit(size):
    method, given = convolutional().eval(), batch(size=size)
    preparation = pickle.loads(pickle.dumps(method.preparation()))
    prepared = replace(given, prepared=preparation(given))
    assert torch.equal(energy(method, given), energy(method, prepared))


def test_the_prepared_trees_are_the_ones_that_are_used():
    method, given = pixelwise(), batch()
    other = method.preparation()(replace(given, image=given.image.flip(3)))
    assert not torch.equal(energy(method, given), energy(method, replace(given, prepared=other)))


def test_the_loaders_processes_build_the_trees(tmp_path):
    supervision = Supervision(toy(tmp_path), "scribbles", 0, tmp_path / "labels")
    supervision.prepare()
    config = TrainConfig(steps=2, batch=2, crop=SIZE)
    training = TrainingSet(supervision, config, 0, convolutional().preparation())
    here, there = (list(batches(training, config, 0, 0, workers, pin=False)) for workers in (0, 1))
    for one, other in zip(here, there, strict=True):
        assert one.prepared.shape == (2, 3, 16 * 16) and torch.equal(one.prepared, other.prepared)


def test_half_precision_is_filtered_in_float32():
    """So that bfloat16 changes what the network says, and no more: value and gradient stay close."""
    method, given = convolutional().eval(), batch(size=(64, 96))
    full = energy(method, given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = energy(method, given)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.05, atol=0)
    parameters = [p for p in method.parameters() if p.requires_grad]
    one, other = (torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]) for loss in (full, half))
    assert float(torch.cosine_similarity(one, other, 0)) > 0.9


@pytest.mark.parametrize("images", [1, 2])
def test_an_image_without_a_valid_pixel_has_no_say(images):
    method, given = convolutional(), batch(size=(40, 56), images=images)
    valid, labels = given.valid.clone(), given.labels.clone()
    valid[0], labels[0] = False, IGNORE
    loss = energy(method, replace(given, valid=valid, labels=labels))
    loss.backward()
    assert bool(torch.isfinite(loss)) and (images > 1) == bool(loss > 0)
    assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)


def test_the_branch_is_not_needed_to_predict():
    with_branch, without = convolutional().eval(), convolutional(high=False).eval()
    image = batch(size=(64, 96)).image
    with torch.no_grad():
        assert torch.equal(with_branch.predict(image), without.predict(image))
    assert not any("running" in name for name in with_branch.state_dict() if name.startswith("branch"))


def test_presets_and_errors():
    assert (PAPER.width, PAPER.weight, PAPER.sigma, PAPER.void) == (256, 0.4, 0.002, False)
    assert replace(PAPER, void=True) == CODE
    for name in ("sigma", "feature_sigma", "width"):
        with pytest.raises(UsageError, match=f"tel: {name} must be positive, not 0"):
            replace(Config(), **{name: 0})
    assert to_plain(spec(method="tel", config=to_plain(Config())))["config"]["weight"] == 0.4


def test_trees_spread_scribbles_better_than_the_nearest_one(tiny_miniature):
    """No network: one-hot scribbles filtered along the tree of the colours, against the label of the nearest stroke."""
    dataset = discovery.dataset("cityscapes")(tiny_miniature)
    classes, hits = len(dataset.classes), Counter()
    for _, frame in dataset.labelled("train"):
        truth, weak = dataset.dense(frame), dataset.weak(frame, "scribbles", 0)
        assert truth is not None
        rows, columns = np.asarray(distance_transform_edt(weak == IGNORE, return_distances=False, return_indices=True))
        guesses = {"nearest": weak[rows, columns]}
        one_hot = torch.from_numpy(np.eye(classes, dtype=np.float32)[np.where(weak == IGNORE, 0, weak)])
        one_hot = (one_hot * torch.from_numpy(weak != IGNORE)[..., None]).permute(2, 0, 1)[None]
        guide = torch.from_numpy(dataset.image(frame)).permute(2, 0, 1)[None].float() / 255
        for sigma in (0.002, 0.2):
            guesses[str(sigma)] = tree_filter(one_hot, guide, sigma)[0].argmax(0).numpy()
        for name, guess in guesses.items():
            hits[name] += int((guess == truth)[truth != IGNORE].sum())
    assert hits["0.002"] > hits["0.2"] and hits["0.002"] > hits["nearest"]
