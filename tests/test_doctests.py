"""Every module can be imported by its name, and the examples in its docstrings say the truth."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "methods", "datasets")


def reraise(name):
    """For pkgutil, which calls it while it handles the error of importing a package and would else leave that out."""
    raise


def modules():
    """The names of all modules, as an installed package offers them."""
    found = []
    for kind in PACKAGES:
        package = importlib.import_module(f"wsss.{kind}")
        found.append(package.__name__)
        found += [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=reraise)]
    return found


def test_no_module_is_left_out():
    files = [path.relative_to(ROOT) for kind in PACKAGES for path in (ROOT / kind).rglob("*.py")]
    dotted = {".".join(("wsss", *file.with_suffix("").parts)).removesuffix(".__init__") for file in files}
    assert set(modules()) == dotted


@pytest.mark.parametrize("name", modules())
def test_examples_hold(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
