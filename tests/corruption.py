"""Damage to the files of a dataset, seeded, and what its adapter then says: `python tests/corruption.py --number 600`.

Every adapter must read a value that its checks cannot tell from a right one, or raise a BenchmarkError that names the
file; never another exception, never a hang, never the end of the interpreter. The damage is done in a process of its
own, which writes down what it is about to do, so that a crash has a name too.
"""

import argparse
import faulthandler
import hashlib
import json
import os
import pickle
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

ADAPTERS = ("cityscapes", "kitti360", "nyuv2", "waymo")
SECONDS = 60
"""After which reading a tree of a few kilobytes counts as a hang."""


class Planted:
    """An object whose unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def kind_of(path, root):
    """Files of one kind stand for each other: their folder's outermost name and their ending."""
    parts = path.relative_to(root).parts
    inner = parts[-2] if len(parts) > 1 and not parts[-2][0].isdigit() else ""
    return f"{parts[0]}/{inner}/{path.suffix}" if len(parts) > 1 else path.name


def truncated(content, others, rng):
    return content[: int(rng.integers(len(content)))]


def flipped(content, others, rng):
    data = np.frombuffer(content, np.uint8).copy()
    places = rng.integers(0, len(data), int(rng.integers(1, 9)))
    data[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
    return data.tobytes()


def flipped_in_the_header(content, others, rng):
    return flipped(content[:256], others, rng) + content[256:]


def flipped_at_the_end(content, others, rng):
    end = max(0, len(content) - 2000)
    return content[:end] + flipped(content[end:], others, rng)


def zeroed(content, others, rng):
    if rng.random() < 0.3:
        return bytes(len(content))
    start = int(rng.integers(len(content)))
    return content[:start] + bytes(min(int(rng.integers(1, 4097)), len(content) - start)) + content[start:]


def lengthened(content, others, rng):
    return content + rng.bytes(int(rng.integers(1, 2000)))


def empty(content, others, rng):
    return b""


def of_another_kind(content, others, rng):
    return others[int(rng.integers(len(others)))]


def a_pickle(content, others, rng):
    return pickle.dumps(Planted(PLANTED))


def odd_text(content, others, rng):
    """Numbers that are none, nesting without end, bytes that are no text: for files that hold text."""
    numbers = (b"nan", b"1e999", b"-", b"9" * 5000, b"0\n", b"null")
    texts = (*numbers, b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\x00", b"{}")
    odd = texts[int(rng.integers(len(texts)))]
    words = content.split(b" ")
    if rng.random() < 0.5:
        return odd
    words[int(rng.integers(len(words)))] = odd
    return b" ".join(words)


DAMAGES = (truncated, flipped, flipped_in_the_header, flipped_at_the_end, zeroed, lengthened, empty, of_another_kind,
           a_pickle, odd_text)  # fmt: skip
PLACES = ("a folder", "a link to nowhere", "a link to itself", "absent")
"""What may stand in a file's place."""
PLANTED = str(Path(tempfile.gettempdir()) / f"planted-{os.getpid()}")


def put(path, what):
    """Put something else in the place of a file."""
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a link to nowhere":
        path.symlink_to(path.parent / "nowhere" / path.name)
    elif what == "a link to itself":
        path.symlink_to(path.name)


def hashed(value):
    """A digest of whatever an adapter returns."""
    sha = hashlib.sha256()

    def add(one):
        if isinstance(one, np.ndarray):
            assert one.dtype != object
            if one.dtype.kind == "f":
                assert np.isfinite(one).all() or one.ndim == 2, "numbers that are none"
            sha.update(f"{one.dtype}{one.shape}".encode() + one.tobytes())
        elif isinstance(one, dict):
            add(list(one.items()))
        elif isinstance(one, list | tuple):
            for each in one:
                add(each)
        elif hasattr(one, "__dataclass_fields__"):
            add([getattr(one, name) for name in one.__dataclass_fields__])
        else:
            sha.update(repr(one).encode())

    add(value)
    return sha.hexdigest()


def everything(name, root, release=None):
    """A digest of all that an adapter says about a tree; what one part raises is what it says of that part."""
    from wsss.benchmark import BenchmarkError, Unsupported, discovery
    from wsss.datasets import _index

    _index.FOLDER = root.parent / "index"
    shutil.rmtree(_index.FOLDER, ignore_errors=True)
    told = []

    def ask(question, *arguments) -> Any:
        try:
            return question(*arguments)
        except Unsupported as error:  # a part that is absent as a whole
            return str(error)
        except BenchmarkError as error:
            told.append(error)
            return None

    adapter: Any = discovery.dataset(name)
    dataset: Any = ask(adapter, root) if release is None else ask(lambda: adapter(root, release=release))
    if dataset is None:
        return hashed([]), told
    said = []
    for split in ("train", "val"):
        said += [ask(dataset.digest, split), [ask(dataset.weak_source, kind) for kind in sorted(dataset.labels)]]
        for scene in ask(dataset.scenes, split) or ():
            said += [scene, ask(dataset.cameras, scene)]
            for index, frame in enumerate(scene.frames):
                said += [ask(dataset.image, frame), ask(dataset.sweep, scene, index)]
                if frame.labelled:
                    questions = [dataset.dense, dataset.instances, dataset.unknown_ids, dataset.files]
                    questions += [q for q in (getattr(dataset, "confidence", None),) if q is not None]
                    said += [ask(question, frame) for question in questions]
                    said += [ask(dataset.weak, frame, kind, 0) for kind in sorted(dataset.labels)]
                if getattr(dataset, "disparity", None) is not None:
                    said.append(ask(dataset.disparity, frame))
    return hashed([str(one).replace(str(root), "") if isinstance(one, Path) else one for one in said]), told


def verdict(path, told, same):
    """``told``, ``same`` or ``other``, or what is wrong with what was told."""
    for error in told:
        text = str(error)
        missing = type(error).__name__ == "DatasetMissing"
        if path.name not in text and path.stem not in text and path.parent.name not in text:
            return f"WRONG: not named: {text[:200]}"
        if "\n" in text and not missing:
            return f"WRONG: several lines: {text[:200]!r}"
        if ";" not in text and not missing:
            return f"WRONG: no next step: {text[:200]}"
    return "told" if told else "same" if same else "other"


def trial(name, root, release, path, damage, others, rng, right):
    """Damage one file, ask everything, put it right again; what came of it."""
    content = path.read_bytes()
    try:
        if isinstance(damage, str):
            put(path, damage)
        else:
            path.write_bytes(damage(content, others, rng))
        try:
            digest, told = everything(name, root, release)
        except BaseException as error:
            return f"WRONG: {type(error).__name__}: {str(error)[:200]}"
        if Path(PLANTED).exists():
            Path(PLANTED).unlink()
            return "WRONG: a pickle was executed"
        return verdict(path, told, digest == right)
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        elif os.path.lexists(path):
            path.unlink()
        path.write_bytes(content)


def trials(names, number, seed):
    """Damage files of the adapters in turn, each kind of file as often as every other; yields what came of it."""
    from layouts import WRITERS

    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        trees = {}
        for name in names:
            root = WRITERS[name](Path(folder) / name / "tree")
            kinds = defaultdict(list)
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    kinds[kind_of(path, root)].append(path)
            releases = ("v1", "v2") if name == "waymo" else (None,)
            trees[name] = root, kinds, {release: everything(name, root, release)[0] for release in releases}
        for turn in range(number):
            name = names[turn % len(names)]
            root, kinds, right = trees[name]
            kind = sorted(kinds)[turn // len(names) % len(kinds)]
            path = kinds[kind][int(rng.integers(len(kinds[kind])))]
            release = None if name != "waymo" else "v1" if path.suffix == ".tfrecord" else "v2"
            damages = (*DAMAGES, *PLACES)
            damage = damages[int(rng.integers(len(damages)))]
            others = [paths[0].read_bytes() for other, paths in sorted(kinds.items()) if other != kind]
            what = damage if isinstance(damage, str) else damage.__name__
            about = {"turn": turn, "dataset": name, "file": str(path.relative_to(root)), "damage": what}
            print(json.dumps(about), flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            began = time.monotonic()
            found = trial(name, root, release, path, damage, others, rng, right[release])
            faulthandler.cancel_dump_traceback_later()
            yield {**about, "found": found, "seconds": round(time.monotonic() - began, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dataset", action="append", choices=ADAPTERS)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    counts, wrong = Counter(), []
    for found in trials(chosen.dataset or ADAPTERS, chosen.number, chosen.seed):
        counts[found["found"].partition(":")[0]] += 1
        if found["found"].startswith("WRONG"):
            wrong.append(found)
            print(json.dumps(found), flush=True)
    print(json.dumps({"counts": counts, "wrong": len(wrong)}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
