"""Pages on the paper of 2021, from nothing at a small size: computed once, and the same again from what is stored."""

import pytest

from clusterability import notebooks
from helpers import computed_from_nothing, computed_once_from_the_command_line

FIGURES = [figure for figure in notebooks.figures().values() if "2020" not in figure.paper]
# An MLP's page and a CNN's run twice; nbval reads the stored rows of all others again.
TWICE = ("mlp-halves", "cnn-clusterable-init")


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_page_runs_from_nothing_at_a_small_size(figure, home, monkeypatch, capsys):
    if figure.name in TWICE:
        computed_once_from_the_command_line(figure, home, monkeypatch)
    else:
        computed_from_nothing(figure, home, monkeypatch, capsys)
