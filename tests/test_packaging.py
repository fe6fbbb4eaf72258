"""What is shipped, who may import whom, and the sizes and docstrings that keep a module readable."""

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from toy import batch, pixelwise_task

from wsss.benchmark import discovery

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
FOLDERS = ("benchmark", "methods", "datasets")
REQUIREMENTS = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
MODULE_LINES, FUNCTION_LINES = 300, 60


def dotted(path):
    """``wsss.benchmark.report.table`` for ``benchmark/report/table.py``."""
    return ".".join(("wsss", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


FILES = {dotted(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}
MODULES = pytest.mark.parametrize("module", FILES)


def imports(module):
    """What a module imports anywhere in it, in full: ``from wsss.methods import ema`` is ``wsss.methods.ema``."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}:{node.lineno} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & FILES.keys()) | ({node.module} if inner - FILES.keys() else set())
    return found


def siblings(module, kind):
    """The modules of the same kind, helpers aside, that a module imports."""
    found = {name for name in imports(module) if name.startswith(f"wsss.{kind}.")}
    return {name for name in found if not name.rpartition(".")[2].startswith("_")}


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def python(*arguments):
    """Run Python in the repository's root, where its folders are importable by their bare names."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=clean, capture_output=True, text=True)


def test_every_package_is_shipped():
    inits = [name for name, path in FILES.items() if path.name == "__init__.py"]
    assert sorted(SETUPTOOLS["packages"]) == sorted(inits)
    for name, path in FILES.items():
        assert name.rpartition(".")[0] in ("wsss", *inits), f"{path} lies in a folder without __init__.py"


def test_every_data_file_is_shipped():
    shipped = set()
    for package, globs in SETUPTOOLS["package-data"].items():
        for glob in globs:
            found = set(FILES[package].parent.glob(glob))
            assert found, f"package-data of {package}: {glob} matches no file"
            shipped |= found
    present = {p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".py"}
    assert {path for path in present if "__pycache__" not in path.parts} == shipped


def test_every_dependency_is_pinned():
    path = ROOT / "constraints.txt"
    if not path.is_file():
        pytest.skip("constraints.txt is not there yet")
    lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()]
    pins = {canonicalize_name(pin.name): pin for pin in map(Requirement, filter(None, lines))}
    for requirement in REQUIREMENTS:
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin, f"constraints.txt does not pin {requirement.name}"
        (pinned,) = pin.specifier
        assert pinned.operator == "==" and requirement.specifier.contains(pinned.version), f"{pin} is not {requirement}"


def test_every_third_party_import_is_declared():
    declared = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    provided = packages_distributions()
    found = {(name.partition(".")[0], module) for module in FILES for name in imports(module)}
    foreign = {(name, module) for name, module in found if name not in {*sys.stdlib_module_names, "wsss"}}
    assert not {
        (name, module)
        for name, module in foreign
        if not {canonicalize_name(distribution) for distribution in provided[name]} & declared
    }


@pytest.mark.parametrize("target", PYPROJECT["project"]["scripts"].values())
def test_the_console_script_can_be_imported(target):
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_a_bare_import_of_datasets_says_what_is_wrong():
    done = python("-c", "import datasets")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: this folder is wsss.datasets, found as 'datasets'")


def test_a_safe_path_does_not_see_the_folder():
    done = python("-P", "-c", "from importlib.util import find_spec as f; s = f('datasets'); print(s and s.origin)")
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stdout


@MODULES
def test_arrows_run_one_way(module):
    ours = {name for name in imports(module) if within(name, "wsss")}
    kind = module.split(".")[1]
    if kind == "benchmark":
        assert not {name for name in ours if within(name, "wsss.methods")}
        if FILES[module].name not in ("workplace.py", "data_commands.py"):
            assert not {name for name in ours if within(name, "wsss.datasets")}
        return
    assert all(within(name, "wsss.benchmark", f"wsss.{kind}") for name in ours)
    others = siblings(module, kind)
    if within(module, "wsss.datasets.miniature"):
        others = {name for name in others if not within(name, "wsss.datasets.miniature")}
    assert len(others) <= 1, f"{module} extends more than one module: {sorted(others)}"


def test_reports_need_no_torch():
    torchless = ("statistics", "records", "spec", "suites", "types")
    modules = [name for name in FILES if within(name, "wsss.benchmark.report")]
    modules += [f"wsss.benchmark.{name}" for name in torchless]
    done = python("-c", f"import sys; sys.modules['torch'] = None; import {', '.join(modules)}")
    assert done.returncode == 0, done.stderr


@MODULES
def test_modules_and_functions_are_short(module):
    length = len(FILES[module].read_text("utf-8").splitlines())
    assert length <= MODULE_LINES, f"{FILES[module]} has {length} lines"
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            length = node.end_lineno - first + 1
            assert length <= FUNCTION_LINES, f"{FILES[module]}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("module", [name for name in FILES if name.rpartition(".")[2].startswith("_")])
def test_helper_modules_have_docstrings(module):
    """Those of public modules are ruff's to check; it takes all in a module with a leading underscore for private."""
    assert ast.get_docstring(TREES[module])
    for node in TREES[module].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """CONTRIBUTING.md's method as a file among the methods; its name and its class."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S)
    name = "example_of_contributing"
    (tmp_path / f"{name}.py").write_text(blocks[0], "utf-8")
    methods = importlib.import_module("wsss.methods")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield discovery.method(name)
    sys.modules.pop(f"wsss.methods.{name}")
    delattr(methods, name)


def test_the_method_of_contributing_trains(example):
    torch.manual_seed(0)
    method = example(example.Config(), pixelwise_task())
    optimiser = torch.optim.AdamW(method.parameter_groups(0.01), lr=0.01)
    before = [parameter.detach().clone() for parameter in method.parameters()]
    terms = method.losses(batch(), 1.0)
    assert len(terms) > 1
    for term, value in terms.items():
        assert value.shape == () and bool(torch.isfinite(value)), term
        gradients = torch.autograd.grad(value, list(method.parameters()), retain_graph=True)
        assert any(bool((gradient != 0).any()) for gradient in gradients), term
    torch.stack(list(terms.values())).sum().backward()
    optimiser.step()
    method.after_step(1)
    assert all(not torch.equal(old, new) for old, new in zip(before, method.parameters(), strict=True))
