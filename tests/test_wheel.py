"""The built wheel, in a virtual environment that has only what it asks for: measuring a network needs no book."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Folder of the environment. Dependencies are those of the tests' own environment, linked one by one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "lib", source / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    pip = [sys.executable, "-m", "pip", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run([*pip, *build], check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "bare", with_pip=False)
    python = folder / "bare" / "bin" / "python"
    subprocess.run(
        [*pip, "--python", python, "install", "--no-deps", wheel], check=True, capture_output=True, timeout=120
    )
    (packages,) = (folder / "bare" / "lib").glob("python*/site-packages")
    for name in _needed(_installed(packages)):
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(installed.locate_file(top))))
    return folder / "bare"


def _installed(packages):
    (info,) = packages.glob("clusterability-*.dist-info")
    return PathDistribution(info)


def _needed(dist):
    """Names of what a distribution needs, and of what that needs."""
    found, left = set(), [dist]
    while left:
        for text in left.pop().requires or ():
            requirement = Requirement(text)
            name = requirement.name.lower()
            if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                found.add(name)
                left.append(distribution(name))
    return found


def run(environment, folder, *command):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    clean["NUMBA_DISABLE_JIT"] = "1"  # to compile for a new place takes ten seconds
    command = [environment / "bin" / command[0], *command[1:]]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=120, check=False)


def test_a_network_is_measured_without_the_book(environment, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "net.npz", layer0=rng.normal(size=(12, 20)), layer1=rng.normal(size=(5, 12)))
    options = ["--clusters", "3", "--shuffles", "2", "--json"]
    measured = run(environment, tmp_path, "clusterability", "measure", "net.npz", *options)
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout)["vertices"] == 20 + 12 + 5
    absent = run(environment, tmp_path, "python", "-c", "import papermill")
    assert "No module named 'papermill'" in absent.stderr


def test_commands_of_the_book_name_the_extra_they_need(environment, tmp_path):
    refused = run(environment, tmp_path, "clusterability", "list")
    assert refused.returncode == 2
    assert "pip install 'clusterability[book]'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_version_is_the_projects(environment, tmp_path):
    show = "import clusterability; print(clusterability.__version__, clusterability.__file__)"
    for command in (["python", "-c", show], ["clusterability", "--version"]):
        told = run(environment, tmp_path, *command)
        assert told.returncode == 0, told.stderr
        assert PROJECT["version"] in told.stdout.split()
        assert str(ROOT) not in told.stdout


def test_only_extras_ask_for_more(environment):
    (packages,) = (environment / "lib").glob("python*/site-packages")
    wheel = _installed(packages)
    asked = [Requirement(text) for text in wheel.requires]
    plain = {requirement.name.lower() for requirement in asked if requirement.marker is None}
    assert {"numpy", "torch", "click"} <= plain
    assert not plain & {"playwright", "ruff", "jupyter-book", "papermill", "matplotlib", "pytest", "joblib"}
    assert wheel.metadata.get_all("Provides-Extra") == ["book", "test", "bench"]
    assert all(requirement.specifier for requirement in asked if requirement.name != "clusterability")


def test_every_room_is_in_the_wheel(environment):
    (packages,) = (environment / "lib").glob("python*/site-packages")
    here = {path.relative_to(ROOT / "lib") for path in (ROOT / "lib").rglob("*.py")}
    there = {path.relative_to(packages) for path in (packages / "clusterability").rglob("*.py")}
    assert there == here


def test_the_lock_holds_what_the_project_asks_for():
    pinned = {}
    for name in ("requirements.txt", "requirements-torch.txt"):
        for line in re.findall(r"^[\w.-]+==[^\s;]+", (ROOT / name).read_text(encoding="utf8"), re.M):
            pinned.update([line.lower().split("==")])
    asked = itertools.chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, asked):
        if requirement.name != "clusterability":
            assert pinned[requirement.name.lower()] in requirement.specifier, requirement


def test_the_version_stands_once():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf8")
    assert f"{{Version {version}}}" in (ROOT / "book" / "cite.md").read_text(encoding="utf8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf8")
