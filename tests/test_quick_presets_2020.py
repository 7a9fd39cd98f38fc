"""Pages on the paper of 2020, or on both, from nothing at a small size: computed once, then read from the rows."""

import pytest

from clusterability import notebooks
from helpers import computed_from_nothing, computed_once_from_the_command_line

FIGURES = [figure for figure in notebooks.figures().values() if "2020" in figure.paper]
# A page of lesions runs twice; nbval reads the stored rows of all others again.
TWICE = ("lesion-double",)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_page_runs_from_nothing_at_a_small_size(figure, home, monkeypatch, capsys):
    if figure.name in TWICE:
        computed_once_from_the_command_line(figure, home, monkeypatch)
    else:
        computed_from_nothing(figure, home, monkeypatch, capsys)
