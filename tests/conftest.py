"""Fixtures that several test modules share."""

import os

import hypothesis
import pytest

from clusterability.data import load as datasets

hypothesis.settings.register_profile("suite", deadline=None, max_examples=25, derandomize=True, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=500, database=None)
hypothesis.settings.load_profile("suite")


def pytest_configure():
    """No user's settings, no progress bars, and nothing computed unless a test asks for it; also for the kernels
    that re-execute stored notebooks."""
    os.environ.pop("CLUSTERABILITY_DATA", None)
    os.environ["CLUSTERABILITY_STORE"] = "none"
    os.environ["TQDM_DISABLE"] = "1"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty checkout: nothing is read from, or written to, the real one."""
    monkeypatch.setattr("clusterability.base.files.project_root", lambda: tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def digits():
    return datasets.load("digits")


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder that takes new rows and trained networks, so that nothing is read or left elsewhere."""
    return tmp_path_factory.mktemp("home")
