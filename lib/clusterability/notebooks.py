"""The book's notebooks: which there are, their parameters, and running them without leaving a mess."""

import ast
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat

from clusterability.base import files
from clusterability.base.errors import InputError
from clusterability.base.threads import available_cores
from clusterability.experiments.grid import preset

_WORDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}


@dataclass(frozen=True)
class Notebook:
    """A page that is executed."""

    name: str  # of the file, without suffix
    path: Path
    title: str  # its first heading
    paper: str  # that it reproduces; empty for the front page
    last: bool  # whether it sums up other figures and must run after them
    parameters: dict[str, str]  # the type of every parameter, as its cell declares it


def pages() -> list[Notebook]:
    """All executable pages: the figures in alphabetical order, those last that sum up others, then the front page."""
    found = [_read(path) for path in sorted((files.project_root() / "book").glob("[!.]*.ipynb"))]
    return sorted(found, key=lambda notebook: (not notebook.paper, notebook.last, notebook.name))


def figures() -> dict[str, Notebook]:
    """The figures' notebooks by name."""
    return {notebook.name: notebook for notebook in pages() if notebook.paper}


def find(name: str) -> Notebook:
    """The figure of that name, or "live", the page that is trained on the spot; InputError if there is none."""
    known = figures()
    live = files.project_root() / "book" / "templates" / "live.ipynb"
    if name == "live" and live.is_file():
        return _read(live)
    if name not in known:
        choice = ", ".join(known) or "none, for there is no book here"
        raise InputError(f"no figure is called {name!r}: choose from {choice}")
    return known[name]


def new(name: str, title: str) -> Path:
    """Write the notebook of a new page from the template; InputError for a name that is taken or no name."""
    folder = files.project_root() / "book"
    target = folder / f"{name}.ipynb"
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise InputError(f"no page can be called {name!r}: small letters, digits and single hyphens are needed")
    if target.exists():
        raise InputError(f"the page {name!r} is there already")
    if not (folder / "templates").is_dir():
        raise InputError("there is no book here: run this in a checkout of the Clusterability Companion")
    content = nbformat.read(folder / "templates" / "page.ipynb", as_version=4)
    text = nbformat.writes(content).replace("NAME", name).replace("TITLE", title)
    with files.written_whole(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return target


def _read(path: Path) -> Notebook:
    content = nbformat.read(path, as_version=4)
    markdown = "\n".join(cell.source for cell in content.cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.*)$", markdown, re.M)[1].strip()
    [source] = [cell.source for cell in content.cells if "parameters" in cell.metadata.get("tags", [])]
    about = content.metadata.get("clusterability", {})
    return Notebook(path.stem, path, title, about.get("paper", ""), about.get("last", False), declared(source))


def declared(source: str) -> dict[str, str]:
    """Types of the parameters that the lines ``name: type = default`` of a cell declare.

    >>> declared("n: int = 3\\nnames: list[str] = ['mnist']")
    {'n': 'int', 'names': 'list[str]'}
    """
    lines = (line for line in ast.parse(source).body if isinstance(line, ast.AnnAssign))
    return {line.target.id: ast.unparse(line.annotation) for line in lines}


def values_of(notebook: Notebook, given: Mapping[str, str], preset_name: str = "") -> dict[str, Any]:
    """Typed values of parameters given as texts, over those of a preset; InputError for a name that the notebook's
    parameters cell lacks, a text of the wrong type, or an unknown preset."""
    for name in given:
        if name not in notebook.parameters:
            known = ", ".join(notebook.parameters)
            raise InputError(f"{notebook.name} has no parameter {name!r}: choose from {known}")
    values = dict(preset(notebook.name, preset_name)) if preset_name else {}
    values |= {name: parse(name, notebook.parameters[name], text) for name, text in given.items()}
    for name in ("n_shuffles", "interval"):
        if values.get(name, 1) < 1:
            raise InputError(f"{name} {values[name]}: at least 1 is needed")
    return values


def parse(name: str, kind: str, text: str) -> Any:
    """The value that a text stands for: JSON, or for lists words with commas between.

    >>> parse("strengths", "list[float]", "1,0.5"), parse("datasets", "list[str]", '["mnist"]')
    ([1.0, 0.5], ['mnist'])
    """
    if kind == "str":
        return text
    try:
        value = json.loads(text.lower() if kind == "bool" else text)
    except json.JSONDecodeError:
        value = text
    if kind.startswith("list[") and not isinstance(value, list):
        return [parse(name, kind[5:-1], part.strip()) for part in text.split(",")]
    return _typed(name, kind, value)


def _typed(name: str, kind: str, value: Any) -> Any:
    if kind.startswith("list[") and isinstance(value, list):
        return [_typed(name, kind[5:-1], item) for item in value]
    if kind == "float" and type(value) is int:
        return float(value)  # the two are equal, but not in the keys of rows
    if type(value).__name__ != kind:
        lists = kind.count("list[") * "a list, each item "
        single = _WORDS[kind.replace("list[", "").rstrip("]")]
        raise InputError(f"parameter {name} must be {lists}{single}, not {value!r}")
    return value


def execute(notebook: Notebook, values: Mapping[str, Any], folder: Path, note: str = "") -> Path:
    """Run a notebook with ``folder`` as its working directory and store it there, executed, with a ``note`` below its
    title; InputError where the notebook finds a parameter's value unusable.

    The file appears only when the run has succeeded, and holds nothing that differs between two runs of the same
    numbers. What the notebook writes to standard error, its progress, is shown.
    """
    import papermill

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / notebook.path.name
    with files.written_whole(target) as temporary:
        try:
            papermill.execute_notebook(
                str(notebook.path), str(temporary), parameters=dict(values), cwd=str(folder),
                progress_bar=False, kernel_name="python3", stderr_file=sys.stderr,
            )  # fmt: skip
        except papermill.PapermillExecutionError as failure:
            if failure.ename == InputError.__name__:
                raise InputError(failure.evalue) from failure
            raise
        normalize(temporary, note)
    return target


def execute_all(
    jobs: Sequence[tuple[Notebook, Mapping[str, Any], str]], folder: Path, n_workers: int
) -> Iterator[Path]:
    """Run notebooks, those last that sum up others; of several at a time tell which are done and what is left."""
    if n_workers == 1:
        yield from (execute(notebook, values, folder, note) for notebook, values, note in jobs)
        return
    started, done = time.monotonic(), 0
    first = [job for job in jobs if job[0].paper and not job[0].last]
    os.environ["TQDM_DISABLE"] = "1"  # bars of several notebooks would overwrite each other
    # Threads beyond the cores wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // n_workers)))
    with ProcessPoolExecutor(n_workers, get_context("spawn")) as pool:
        for group in (first, [job for job in jobs if job not in first]):
            running = {pool.submit(execute, page, values, folder, note): page.name for page, values, note in group}
            for future in as_completed(running):
                done += 1
                left = (time.monotonic() - started) * (len(jobs) - done) / done
                print(f"page {done} of {len(jobs)}: {running[future]}, about {left:.0f} s left", file=sys.stderr)
                yield future.result()


def normalize(path: Path, note: str = "") -> None:
    """Drop from a stored notebook what differs between two runs of the same numbers, or between
    machines: times, paths, progress, the kernel's own version. Values injected below a hidden parameters cell
    are hidden too. A ``note`` is added below the title."""
    content = nbformat.read(path, as_version=4)
    if note:
        first = next(cell for cell in content.cells if cell.cell_type == "markdown")
        first.source = re.sub(r"(?m)^# .*$", lambda title: f"{title.group()}\n\n**{note}**", first.source, count=1)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content.metadata.update(kernelspec=kernel, language_info={"name": "python"})
    content.metadata.pop("papermill", None)
    content.metadata.pop("widgets", None)
    hidden = [c for c in content.cells if {"parameters", "remove-input"} <= set(c.metadata.get("tags", []))]
    for index, cell in enumerate(content.cells):
        cell["id"] = f"cell-{index}"
        if hidden and "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = ["injected-parameters", "remove-input"]
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(content, path)
