"""Quick presets of the pages on the paper of 2020, or on both: run, and run again to the same bytes."""

import pytest

from clusterability import notebooks
from helpers import assert_quick_preset_runs_again_to_the_same_bytes

FIGURES = [figure for figure in notebooks.figures().values() if "2020" in figure.paper]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_quick_preset(figure, home, monkeypatch):
    assert_quick_preset_runs_again_to_the_same_bytes(figure, home, monkeypatch)
