"""The book's notebooks are stored cleanly. tests/test_quick_presets_*.py run them."""

import re
import shutil

import nbformat
import pytest

from clusterability import notebooks
from clusterability import report as figures
from clusterability.base import files as paths
from clusterability.base.errors import InputError
from helpers import code_cells

PAGES = notebooks.pages()
BOOK = paths.project_root() / "book"


def test_stored_notebooks_are_executed_and_clean():
    for page in PAGES:
        text = page.path.read_text()
        content = nbformat.reads(text, as_version=4)
        counts = [cell.execution_count for cell in code_cells(content)]
        assert counts == list(range(1, len(counts) + 1)), page.name
        outputs = [output for cell in code_cells(content) for output in cell.outputs]
        assert outputs, page.name
        assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"], page.name
        assert not re.search(r"/(root|home|tmp|work|Users)/", text), page.name
        assert "papermill" not in content.metadata, page.name
        assert not any({"papermill", "execution"} & set(cell.metadata) for cell in content.cells), page.name


SKELETON = ["Parameters", "Run", "Table", "Figure", "Claims", "Provenance", "Run it again", "Cite"]
WITHOUT = {"agreement": {"Claims"}, "datasets": {"Claims", "Provenance"}}


def test_figure_pages_share_one_skeleton():
    for figure in notebooks.figures().values():
        content = nbformat.read(figure.path, as_version=4)
        text = "\n".join(cell.source for cell in content.cells if cell.cell_type == "markdown")
        headings = re.findall(r"^## (.*)$", text, re.M)
        wanted = [heading for heading in SKELETON if heading not in WITHOUT.get(figure.name, ())]
        assert [heading for heading in headings if heading in SKELETON] == wanted, figure.name
        figure_cells = [cell for cell in code_cells(content) if "mystnb" in cell.metadata]
        names = [cell.metadata.mystnb.figure.name.removeprefix("fig-") for cell in figure_cells]
        assert names[0] == figure.name
        for name, cell in zip(names, figure_cells, strict=True):
            assert cell.metadata.mystnb.image.alt, name
            assert cell.metadata.mystnb.figure.caption, name
            for suffix in ("svg", "pdf", "png"):
                assert (figure.path.parent / "figures" / f"{name}.{suffix}").is_file()


def test_small_files_are_small():
    for folder in ("results", "artefacts"):
        files = list((paths.data_folder() / folder).iterdir())
        assert files
        assert all(path.stat().st_size < 1_000_000 for path in files)


def test_parameters_are_read_from_the_parameters_cell():
    parameters = notebooks.find("mlp-regularization").parameters
    assert parameters["datasets"] == "list[str]"
    assert parameters["n_replicates"] == "int"
    assert parameters["recompute"] == "bool"


def test_a_whole_number_is_a_float_where_the_type_is():
    cases = [
        ("float", "1", 1.0), ("int", "1", 1), ("list[float]", "1,0.5", [1.0, 0.5]),
        ("list[float]", "[1, 0.5]", [1.0, 0.5]), ("list[list[float]]", "[[1], [0, 2.5]]", [[1.0], [0.0, 2.5]]),
        ("list[list[int]]", "[[1], [2]]", [[1], [2]]),
    ]  # fmt: skip
    for kind, text, value in cases:
        parsed = notebooks.parse("strengths", kind, text)
        assert repr(parsed) == repr(value)


def test_a_float_is_no_whole_number():
    for kind, text in [("int", "1.0"), ("list[int]", "1,2.0"), ("list[list[int]]", "[[1.0]]")]:
        with pytest.raises(InputError, match="whole number"):
            notebooks.parse("epochs", kind, text)


def test_every_figure_is_in_the_table_of_contents():
    contents = (paths.project_root() / "_toc.yml").read_text()
    for page in PAGES:
        assert f"book/{page.name}" in contents


def test_a_new_page_is_written_from_the_template_and_runs(project, monkeypatch):
    for name in ("templates", "conditions.toml", "presets.toml"):
        source = BOOK / name
        (project / "book").mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, project / "book" / name)
    shutil.copytree(BOOK.parent / "data" / "results", project / "data" / "results")
    shutil.copy(BOOK.parent / "data" / "published.csv", project / "data")
    path = notebooks.new("my-page", "Do wide networks cluster?")
    page = notebooks.find("my-page")
    assert (page.path, page.title) == (path, "Do wide networks cluster?")
    monkeypatch.setattr(figures.Page, "figure", lambda self, *_: None)
    monkeypatch.setenv("CLUSTERABILITY_STORE", "custom")
    small = {
        "datasets": ["digits"],
        "n_replicates": 1,
        "hidden": [12],
        "epochs": 1,
        "pruning_epochs": 1,
        "n_shuffles": 2,
    }
    names = {}
    for cell in code_cells(nbformat.read(path, as_version=4)):
        exec(cell.source, names)
        names |= small
    assert (project / "data" / "local" / "results" / "custom" / "my-page.csv").is_file()


@pytest.mark.parametrize(("name", "words"), [("My page", "'My page'"), ("taken", "'taken' is there")])
def test_a_new_page_needs_a_name_of_its_own(project, name, words):
    (project / "book" / "templates").mkdir(parents=True)
    (project / "book" / "taken.ipynb").write_text("{}")
    with pytest.raises(InputError, match=words):
        notebooks.new(name, "Title")
    shutil.rmtree(project / "book")
    with pytest.raises(InputError, match="no book here"):
        notebooks.new("mine", "Title")


def test_templates_are_clean():
    for name in ["live", "page"]:
        content = nbformat.read(BOOK / "templates" / f"{name}.ipynb", as_version=4)
        assert all(cell.execution_count is None and not cell.outputs for cell in code_cells(content))
        assert nbformat.validate(content) is None
