"""Rewis3d: its bridge against a plain loop, what each term may see and move, and the EMA that it must remain."""

from collections import defaultdict
from dataclasses import replace
from itertools import product

import pytest
import torch
from toy import NETWORK, TRAIN, Toy, batch, pixelwise_task, spec
from toy_clouds import Scattered, driven
from toy_points import pointwise, rows

from wsss.benchmark import IGNORE, Batch, BenchmarkError, Classes, Task, UsageError
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.loader import TrainingSet, batches
from wsss.benchmark.networks import image_network
from wsss.benchmark.records import RunFolder
from wsss.benchmark.spec import from_plain, to_plain
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.trainer import Runtime, train
from wsss.methods import ema, rewis3d
from wsss.methods._cross_modal import pairs_of
from wsss.methods.ema import EMA
from wsss.methods.rewis3d import CODE, PAPER, Config, Rewis3d
from wsss.methods.rewis3d_lidar import Rewis3dLidar

SKY = Classes(
    names=("ground", "sky", "thing"),
    colors=((90, 120, 90), (100, 100, 250), (220, 40, 40)),
    without_surface=frozenset({"sky"}),
)
"""Sky between two classes with a surface, so that train ids and outputs of the point network differ."""
SURE = 30.0
IMAGE_TERMS = {"supervised", "consistency", "to_image"}


def made(config: Config, classes: Classes = SKY, sharpness: float = SURE, cls: type[Rewis3d] = Rewis3d) -> Rewis3d:
    """A method in the midst of training: the teachers differ from the students."""
    method = cls(config, pixelwise_task(classes, sharpness))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            if not parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator) * parameter.std(correction=0))
        seen = method.teacher(torch.rand(1, 3, 32, 32, generator=generator)).logits
        method.teacher.classifier.bias.sub_(seen.mean((0, 2, 3)))  # pyright: ignore  (so that it sees every class)
    return method


def full(seed: int = 0) -> Batch:
    """A batch with points; labelled points of every class, sky among them, as an image's labels have it."""
    return batch(seed, points=True)


def changed(given: Batch, **columns) -> Batch:
    assert given.points is not None
    return replace(given, points=replace(given.points, **columns))


def everything(**changes) -> Config:
    return Config(cross_start=0.0, ramp=0.0, start=0.0, **changes)


def by_loop(method: Rewis3d, given: Batch) -> dict[str, float]:
    """Both cross-modal terms, one pair at a time."""
    config, points = method.config, given.points
    assert points is not None
    ids = [0, 2]  # the train ids of the point network's outputs
    with torch.no_grad():
        s2, q2 = method.student(given.strong).logits, method.teacher(given.image).logits.softmax(1)
        s3 = method.point_student(points.strong, points.rgb, points.image)
        q3 = method.point_teacher(points.xyz, points.rgb, points.image).softmax(1)
    pairs = []
    for n, (image, (row, column)) in enumerate(zip(points.image.tolist(), points.pixel.tolist(), strict=True)):
        if row >= 0 and given.valid[image, row, column]:
            pairs.append((n, image, row, column))
    confidence = {n: float(points.confidence[n]) for n, *_ in pairs}
    reconstruction = dict(confidence)
    if config.reconstruction_scale == "rank":
        for n, image, *_ in pairs:
            others = [confidence[m] for m, whose, *_ in pairs if whose == image]
            reconstruction[n] = sum(other <= confidence[n] for other in others) / len(others)

    def weight(n, prediction):
        use = {"none": (), "prediction": (prediction,), "reconstruction": (reconstruction[n],)}
        return float(torch.tensor(use.get(config.confidence, (prediction, reconstruction[n]))).prod())

    def mean(summands):
        total = sum(w * loss for w, loss in summands)
        return total / {"weights": sum(w for w, _ in summands), "pairs": len(summands), "none": 1}[config.normalise]

    at_pixel = defaultdict(list)
    for n, *place in pairs:
        at_pixel[tuple(place)].append(n)
    to_image, to_points = [], []
    for (image, row, column), several in at_pixel.items():
        n = min(several, key=lambda one: (-confidence[one], one))
        loss = -s2[image, :, row, column].log_softmax(0)[ids[int(q3[n].argmax())]]
        to_image.append((weight(n, float(q3[n].max())), float(loss)))
    for n, image, row, column in pairs:
        seen = q2[image, :, row, column]
        if int(seen.argmax()) in ids:
            loss = -s3[n].log_softmax(0)[ids.index(int(seen.argmax()))]
            to_points.append((weight(n, float(seen.max())), float(loss)))
    assert 0 < len(to_points) < len(pairs) and len(to_image) < len(pairs), "no sky or no duplicate in this batch"
    return {"to_image": config.to_image * mean(to_image), "to_points": config.to_points * mean(to_points)}


@pytest.mark.parametrize(
    ("confidence", "normalise", "scale"),
    list(product(["none", "prediction", "reconstruction", "both"], ["weights", "pairs", "none"], ["rank", "raw"])),
)
def test_the_bridge_is_the_sum_of_the_formulas(confidence, normalise, scale):
    config = everything(confidence=confidence, normalise=normalise, reconstruction_scale=scale, to_points=0.2)
    method, given = made(config), full()
    terms = method.losses(given, 0.5)
    for name, expected in by_loop(method, given).items():
        assert terms[name].item() == pytest.approx(expected, rel=1e-4), name


def test_every_term_moves_one_student_and_no_teacher():
    method = made(everything())
    for name, term in method.losses(full(), 0.5).items():
        method.zero_grad()
        method.losses(full(), 0.5)[name].backward()
        moved = {path.split(".")[0] for path, p in method.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved == ({"student"} if name in IMAGE_TERMS else {"point_student"}), name
        assert term.shape == ()


@pytest.mark.parametrize(
    ("column", "moved"),
    [
        ("image", {"consistency", "to_points"}),
        ("strong", IMAGE_TERMS),
        ("points.xyz", {"points_consistency", "to_image"}),
        ("points.strong", {"points_supervised", "points_consistency", "to_points"}),
    ],
)
def test_students_and_teachers_see_their_own_views(column, moved):
    method, given = made(everything(target="soft", gate="share", threshold=0.0)), full()
    before = method.losses(given, 0.5)
    table_, _, name = column.rpartition(".")
    source = given.points if table_ else given
    other = {name: 0.9 * getattr(source, name) + 0.05}
    after = method.losses(changed(given, **other) if table_ else replace(given, **other), 0.5)
    assert {term for term in before if not torch.equal(before[term], after[term])} == moved


@pytest.mark.parametrize("config", [Config(), PAPER, CODE], ids=["default", "paper", "code"])
def test_what_is_not_valid_reaches_no_term(config):
    method, given = made(config), full()
    assert given.points is not None
    invalid = ~given.valid[:, None].expand_as(given.strong)
    row, column = given.points.pixel.unbind(1)
    void = (row >= 0) & ~given.valid[given.points.image, row, column]
    assert bool(void.any())
    other = replace(
        changed(
            given,
            xyz=torch.where(void[:, None], -given.points.xyz, given.points.xyz),
            strong=torch.where(void[:, None], -given.points.strong, given.points.strong),
            labels=torch.where(void, IGNORE, given.points.labels),
        ),
        image=torch.where(invalid, 1 - given.image, given.image),
        strong=torch.where(invalid, 1 - given.strong, given.strong),
    )
    given = changed(given, labels=torch.where(void, IGNORE, given.points.labels))
    before, after = method.losses(given, 1.0), method.losses(other, 1.0)
    assert before.keys() == after.keys()
    for term in before:
        assert torch.equal(before[term], after[term]), term


def test_sky_is_no_label_of_a_point_and_no_answer_to_one():
    method, given = made(everything()), full()
    assert given.points is not None and bool((given.points.labels == 1).any())
    without = changed(given, labels=torch.where(given.points.labels == 1, IGNORE, given.points.labels))
    expected, terms = method.losses(without, 0.5), method.losses(given, 0.5)
    assert torch.equal(terms["points_supervised"], expected["points_supervised"])
    only = changed(given, labels=torch.where(given.points.labels == 1, 1, IGNORE))
    assert "points_supervised" not in method.losses(only, 0.5)
    with torch.no_grad():  # an image teacher that sees nothing but sky
        method.teacher.classifier.bias.copy_(torch.tensor([0.0, 1e4, 0.0]))  # pyright: ignore
    assert "to_points" not in method.losses(given, 0.5) and "to_image" in method.losses(given, 0.5)


def test_the_sky_teacher_speaks_where_no_point_does():
    method, given = made(everything(sky_teacher=True)), full()
    points = given.points
    assert points is not None
    with torch.no_grad():
        method.teacher.classifier.bias[1] += 1.0  # pyright: ignore
        plain = made(everything()).losses(given, 0.5)
        method.losses(given, 0.5)
        method.teacher.classifier.bias.zero_()  # pyright: ignore  (it is frozen: what the teacher becomes has no say)
        teacher = method.teach_points(points)
        pairs = pairs_of(points, given.valid)
        targets = method.pixel_targets(given, points, pairs, method.reconstruction(points, pairs), teacher)
        seen = method.sky_teacher(given.image).logits.softmax(1)
    hit = torch.zeros(given.valid.numel(), dtype=torch.bool)
    hit[pairs.place] = True
    hit = hit.view_as(given.valid)
    expected = (seen.argmax(1) == 1) & given.valid & ~hit
    assert bool(expected.any()) and bool((given.valid & ~hit & ~expected).any())
    assert torch.equal(targets.label == 1, expected)
    torch.testing.assert_close(targets.weight[expected], seen[:, 1][expected] * hit.sum() / given.valid.sum())
    assert method.losses(given, 0.5)["to_image"].item() != pytest.approx(plain["to_image"].item())
    restored = made(everything(sky_teacher=True))
    restored.load_state_dict(method.state_dict())
    assert torch.equal(restored.losses(given, 0.5)["to_image"], method.losses(given, 0.5)["to_image"])


def test_the_bridge_joins_late_and_rises():
    method, given = made(Config(start=0.0, cross_start=0.3, ramp=0.1)), full()
    fully = method.losses(given, 1.0)
    for progress, share in ((0.0, 0), (0.3, 0), (0.325, 0.25), (0.35, 0.5), (0.4, 1), (0.9, 1)):
        terms = method.losses(given, progress)
        for name in ("to_image", "to_points"):
            assert (name in terms) == (share > 0)
            if share:
                assert terms[name].item() == pytest.approx(share * fully[name].item(), rel=1e-5)
    assert set(made(Config(cross_start=0.3, ramp=0.0)).losses(given, 0.3)) >= {"to_image", "to_points"}
    assert set(made(Config(start=0.5)).losses(given, 0.4)) == {
        "supervised", "points_supervised", "to_image", "to_points",
    }  # fmt: skip


@pytest.mark.parametrize(("off", "on"), [("to_image", "to_points"), ("to_points", "to_image")])
def test_a_direction_can_be_switched_off(off, on):
    terms = made(everything(**{off: 0.0})).losses(full(), 0.5)
    assert off not in terms and on in terms


def test_degenerate_batches_train_with_the_terms_that_exist():
    method, given = made(everything()), full()
    points = given.points
    assert points is not None
    nowhere, nothing = torch.full_like(points.pixel, -1), torch.full_like(points.labels, IGNORE)
    image = {"supervised", "consistency"}
    of_points = {"points_supervised", "points_consistency"}
    cases = {
        "no points": (replace(given, points=rows(points, torch.zeros(0, dtype=torch.long))), image),
        "one point": (replace(given, points=rows(points, points.pixel[:, 0] >= 0)), None),
        "one image has none": (replace(given, points=rows(points, points.image == 0)), None),
        "all outside the crop": (changed(given, pixel=nowhere), image | of_points),
        "no label": (changed(given, labels=nothing), None),
        "no valid pixel": (replace(given, valid=torch.zeros_like(given.valid)), image | of_points),
        "nothing at all": (
            replace(changed(given, labels=nothing, pixel=nowhere), labels=torch.full_like(given.labels, IGNORE)),
            image | {"points_consistency"},
        ),
    }
    for name, (case, expected) in cases.items():
        method.zero_grad()
        terms = method.losses(case, 0.5)
        assert expected is None or set(terms) == expected, name
        assert ("points_supervised" in terms) == bool(case.points is not None and (case.points.labels % 255 != 1).any()
            and (case.points.labels != IGNORE).any()), name  # fmt: skip
        torch.stack(list(terms.values())).sum().backward()
        for path, parameter in method.named_parameters():
            assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all()), (name, path)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_confidence_that_is_no_weight_is_an_error_with_a_next_step(wrong):
    given = full()
    assert given.points is not None
    confidence = given.points.confidence.clone()
    confidence[5] = wrong
    with pytest.raises(BenchmarkError, match=r"1 of 300 points .* not positive and finite.*`wsss points"):
        made(Config()).losses(changed(given, confidence=confidence), 0.0)


def test_without_a_table_of_points_or_a_network_for_them_nothing_runs():
    with pytest.raises(UsageError, match="no table of points"):
        made(Config()).losses(batch(), 0.0)
    with pytest.raises(UsageError, match="point_network"):
        Rewis3d(Config(), replace(pixelwise_task(), point_network=None))


@pytest.mark.parametrize(
    "wrong", [{"cross_start": 1.5}, {"ramp": -0.1}, {"to_image": -1.0}, {"point_lr": 0.0}, {"momentum": 2.0}]
)
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(UsageError, match=f"rewis3d: {next(iter(wrong))}"):
        Config(**wrong)


def test_presets_differ_as_paper_and_code_do():
    for preset in (PAPER, CODE):
        assert from_plain(Config, to_plain(preset)) == preset
        assert (preset.target, preset.gate, preset.confidence, preset.reconstruction_scale) == (
            "soft", "share", "both", "raw",
        )  # fmt: skip
    assert (PAPER.momentum, PAPER.normalise, PAPER.strength(0.3), PAPER.strength(0.4)) == (0.99, "pairs", 0.0, 1.0)
    assert (CODE.momentum, CODE.normalise, CODE.teacher_mode, CODE.sky_teacher) == (0.999, "weights", "train", True)
    method, given = made(CODE), full()
    assert given.points is not None  # the divergence of points is not divided by the number of classes
    logits = method.point_student(given.points.strong, given.points.rgb, given.points.image)
    teacher = method.teach_points(given.points)
    everywhere = torch.ones(len(logits), dtype=torch.bool)
    one, other = (
        ema.consistency(config, logits, teacher, given.points.labels, everywhere)
        for config in (method.point_config, CODE)
    )
    torch.testing.assert_close(one, 2 * other)


def test_both_teachers_are_the_same_average_of_their_students():
    for config in (Config(momentum=0.5), Config(momentum=0.9, reset_every=2)):
        method = made(config)
        sides = ((method.teacher, method.student), (method.point_teacher, method.point_student))
        expected = [[p.clone() for p in teacher.parameters()] for teacher, _ in sides]
        for step in range(1, 6):
            since = (step - 1) % config.reset_every if config.reset_every else step
            kept = min(1 - 1 / (since + 1), config.momentum)
            with torch.no_grad():
                for (_, student), slow in zip(sides, expected, strict=True):
                    for parameter, value in zip(student.parameters(), slow, strict=True):
                        parameter.add_(0.1 * step)
                        value.mul_(kept).add_((1 - kept) * parameter)
            method.after_step(step)
        for (teacher, _), slow in zip(sides, expected, strict=True):
            for parameter, value in zip(teacher.parameters(), slow, strict=True):
                torch.testing.assert_close(parameter, value)


def test_the_two_networks_learn_at_their_own_rates():
    method = made(Config(point_lr=20.0))
    image, points = method.parameter_groups(1e-3)
    assert (image["lr"], points["lr"]) == (1e-3, pytest.approx(2e-2))
    grouped = {id(p) for group in (image, points) for p in group["params"]}
    assert grouped == {id(p) for p in method.parameters() if p.requires_grad}
    assert {id(p) for p in image["params"]} == {id(p) for p in method.student.parameters()}


def test_lidar_differs_in_the_source_of_its_points_alone():
    assert (Rewis3d.geometry, Rewis3dLidar.geometry) == ("reconstruction", "sensor")
    given = changed(full(), confidence=torch.ones(300))
    one, other = (made(everything(), cls=cls).losses(given, 0.5) for cls in (Rewis3d, Rewis3dLidar))
    prediction = made(everything(confidence="prediction")).losses(given, 0.5)
    for name in one:
        assert torch.equal(one[name], other[name])
        assert torch.equal(one[name], prediction[name]), "a sensor's confidence of 1 must not matter"


def test_a_prediction_runs_what_that_of_ema_runs_and_no_module_of_points():
    task = Task(classes=Toy.classes, image_network=lambda: image_network(NETWORK, 3, 0), point_network=pointwise(3))
    images = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    found = {}
    for method in (Rewis3d(Config(), task).eval(), EMA(ema.Config(), task).eval()):
        for name, predictor in method.predictors().items():
            ran: set[str] = set()
            handles = [
                module.register_forward_hook(lambda *_, path=path, ran=ran: ran.add(path))  # pyright: ignore
                for path, module in method.named_modules()
            ]
            with torch.no_grad():
                logits = predictor(images)
            for handle in handles:
                handle.remove()
            used = {id(p): p.numel() for path in ran for p in method.get_submodule(path).parameters()}
            assert not {path for path in ran if path.startswith("point_")}
            found.setdefault(name, []).append((logits, sum(used.values()), ran))
    assert set(found) == {"teacher", "student"}
    for (logits, parameters, ran), (expected, expected_parameters, expected_ran) in found.values():
        assert torch.equal(logits, expected)
        assert parameters == expected_parameters > 0 and ran == expected_ran


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """Pictures with a cloud per scene."""
    folder = tmp_path_factory.mktemp("clouds")
    dataset = driven(folder)
    supervision = Supervision(dataset, "scribbles", 0, folder / "labels")
    supervision.prepare()
    made = Clouds(dataset, Scattered(every=5), folder / "points")
    made.prepare(dataset.scenes("train"))
    return supervision, made


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_without_the_bridge_the_image_networks_are_those_of_ema_bitwise(clouds, tmp_path, mode):
    supervision, points = clouds
    short = spec(train=replace(TRAIN, steps=3))
    settings = to_plain(ema.Config(teacher_mode=mode, threshold=0.0))

    def trained(cls, config, clouds):
        task = Task(classes=Toy.classes, image_network=lambda: image_network(NETWORK, 3, 0), point_network=pointwise(3))
        method = cls(config, task)
        training = TrainingSet(supervision, short.train, 0, clouds=clouds, sampling=Sampling(budget=400))
        folder = tmp_path / f"{cls.__name__}-{getattr(config, 'to_image', 0)}"
        fabric = fabric_of(Runtime(device="cpu"), "32-true")
        train(method, training, short, RunFolder(folder), fabric, Runtime(device="cpu"), lambda *_: None)
        return method

    alone = trained(EMA, ema.Config(**settings), None).state_dict()
    off = trained(Rewis3d, Config(**settings, to_image=0.0, to_points=0.0), points)
    on = trained(Rewis3d, Config(**settings, cross_start=0.0, ramp=0.0), points).state_dict()
    for name, value in alone.items():
        assert torch.equal(value, off.state_dict()[name]), name
    assert any(not torch.equal(value, on[name]) for name, value in alone.items()), "the bridge moves nothing"
    start = pointwise(3)().state_dict()
    assert all(not torch.equal(value, start[name]) for name, value in off.point_student.state_dict().items())


def test_a_point_and_its_pixel_get_each_others_label_through_augmentation(clouds):
    """Teachers that read the class off the colour, which point and pixel share: what is said must be what is seen."""
    supervision, points = clouds
    calm = replace(TRAIN, crop=(32, 40), scale=(0.75, 2.0), steps=12, batch=3)
    training = TrainingSet(supervision, calm, 0, clouds=points, sampling=Sampling(budget=1500))
    colours = torch.tensor(Toy.classes.colors) / 255
    method = made(Config(confidence="none"), Toy.classes)
    agreed, said = [], 0
    for given in batches(training, calm, 0, 0, 0, False):
        table_ = given.points
        assert table_ is not None
        of_pixels = (-50 * torch.cdist(given.image.movedim(1, -1), colours)).softmax(-1).movedim(-1, 1)
        of_points = (-50 * torch.cdist(table_.rgb, colours)).softmax(-1)
        pairs = pairs_of(table_, given.valid)
        ones = torch.ones(len(pairs))
        on_pixels = method.pixel_targets(given, table_, pairs, ones, of_points)
        on_points = method.point_targets(table_, pairs, ones, of_pixels)
        spoken = on_pixels.label != IGNORE
        agreed.append(on_pixels.label[spoken] == of_pixels.argmax(1)[spoken])
        spoken = on_points.label != IGNORE
        agreed.append(on_points.label[spoken] == of_points.argmax(1)[spoken])
        assert int(spoken.sum()) == len(pairs) > 100
        said += len(pairs)
    # Colours blur where things end.
    assert torch.cat(agreed).float().mean().item() > 0.95, said
    assert isinstance(method, rewis3d.Rewis3d)
