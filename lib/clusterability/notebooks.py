"""The figure notebooks: which there are, their parameters, and running them without leaving a mess."""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import nbformat

from clusterability import paths
from clusterability.errors import InputError
from clusterability.progress import CHANNEL, relayed

_TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list}
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: ``name: type = default``."""

    name: str
    type: Any
    default: Any

    def parse(self, text: str) -> Any:
        """The value that a text on the command line stands for.

        Raises
        ------
        InputError
            The text is no value of this parameter's type.

        >>> Parameter("n_replicates", int, None).parse("3")
        3
        >>> Parameter("strengths", list[float], None).parse("1,0.5")
        [1.0, 0.5]
        >>> Parameter("datasets", list[str], None).parse('["mnist"]')
        ['mnist']
        >>> Parameter("datasets", list[str], None).parse("mnist,digits")
        ['mnist', 'digits']
        """
        if self.type is str:
            return text
        try:
            value = json.loads(text.lower() if self.type is bool else text)
        except json.JSONDecodeError:
            value = text
        if get_origin(self.type) is list and not isinstance(value, list):
            item = Parameter(self.name, get_args(self.type)[0], None)
            return [item.parse(part.strip()) for part in text.split(",")]
        self.check(value)
        return _typed(value, self.type)

    def check(self, value: Any) -> None:
        """Raise InputError unless ``value`` is of this parameter's type."""
        if not _is(value, self.type):
            raise InputError(f"parameter {self.name} must be {_described(self.type)}, not {value!r}")


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_is(item, get_args(kind)[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _typed(value: Any, kind: Any) -> Any:
    """The value with whole numbers as floats where the type is float: they are other texts in keys."""
    if get_origin(kind) is list:
        return [_typed(item, get_args(kind)[0]) for item in value]
    return float(value) if kind is float else value


def _described(kind: Any) -> str:
    if get_origin(kind) is list:
        return f"a list, each item {_described(get_args(kind)[0])}"
    return _WORDS[kind]


@dataclass(frozen=True)
class Notebook:
    """A figure's notebook in the book.

    Attributes
    ----------
    name : str
        The file's name without suffix: the figure's name.
    path : Path
    title : str
        Its first heading.
    paper : str
        Paper that it reproduces; empty for the front page.
    last : bool
        Whether it sums up other figures and must run after them.
    parameters : dict of Parameter by name
    presets : tuple of str
        The presets that its code defines; empty if it takes any.
    """

    name: str
    path: Path
    title: str
    paper: str
    last: bool
    parameters: dict[str, Parameter]
    presets: tuple[str, ...]


def figures() -> dict[str, Notebook]:
    """The figure notebooks of the book by name, in alphabetical order, those that sum up others last."""
    return {notebook.name: notebook for notebook in pages() if notebook.paper}


def pages() -> list[Notebook]:
    """All executable pages: the figures, then the front page, which sums them up."""
    folder = paths.project_root() / "book"
    found = [_read(path) for path in sorted(folder.glob("[!.]*.ipynb"))]
    return sorted(found, key=lambda notebook: (not notebook.paper, notebook.last, notebook.name))


def find(name: str) -> Notebook:
    """The figure of that name.

    Raises
    ------
    InputError
        There is none.
    """
    known = figures()
    if name not in known:
        choice = ", ".join(known) or "none, for there is no book here"
        raise InputError(f"no figure is called {name!r}: choose from {choice}")
    return known[name]


def _read(path: Path) -> Notebook:
    content = nbformat.read(path, as_version=4)
    title = next(
        line.lstrip("# ").strip()
        for cell in content.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("# ")
    )
    [source] = [cell.source for cell in content.cells if "parameters" in cell.metadata.get("tags", [])]
    about = content.metadata.get("clusterability", {})
    presets = [name for cell in content.cells if cell.cell_type == "code" for name in _presets(cell.source)]
    return Notebook(
        path.stem, path, title, about.get("paper", ""), about.get("last", False), parse_parameters(source),
        tuple(presets),
    )  # fmt: skip


def _presets(source: str) -> list[str]:
    """Names in the first argument of a cell's call of ``experiments.settings``."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    chosen = [call.args[0] for call in calls if ast.unparse(call.func) == "experiments.settings"]
    return [name.value for presets in chosen for name in presets.keys]


def parse_parameters(source: str) -> dict[str, Parameter]:
    """Parameters declared by the lines ``name: type = default`` of a cell.

    >>> parse_parameters("n: int = 3\\nnames: list[str] = None")["names"].type
    list[str]
    """
    found = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            default = ast.literal_eval(statement.value)
            found[statement.target.id] = Parameter(statement.target.id, _type(statement.annotation), default)
    return found


def _type(node: ast.expr) -> Any:
    if isinstance(node, ast.Subscript):
        return list[_type(node.slice)]
    return _TYPES[node.id]


def check_values(notebook: Notebook, values: Mapping[str, str]) -> dict[str, Any]:
    """Typed values of parameters given as texts.

    Raises
    ------
    InputError
        A name that the notebook's parameters cell lacks, or a text of the wrong type.
    """
    for name in values:
        if name not in notebook.parameters:
            known = ", ".join(notebook.parameters)
            raise InputError(f"{notebook.name} has no parameter {name!r}: choose from {known}")
    return {name: notebook.parameters[name].parse(text) for name, text in values.items()}


def execute(notebook: Notebook, values: Mapping[str, Any], folder: Path) -> Path:
    """Run a notebook with ``folder`` as its working directory and store it there, executed.

    The file appears only when the run has succeeded, and holds nothing that differs between two
    runs of the same numbers. Progress is shown on standard error.

    Raises
    ------
    InputError
        The notebook found a parameter's value unusable.
    """
    import papermill

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / notebook.path.name
    environment = {"TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as scratch, paths.written_whole(target) as temporary:
        channel = Path(scratch) / "progress"
        environment[CHANNEL] = str(channel)
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            with relayed(channel):
                papermill.execute_notebook(
                    str(notebook.path), str(temporary), parameters=dict(values), cwd=str(folder),
                    progress_bar=False, kernel_name="python3",
                )  # fmt: skip
        except papermill.PapermillExecutionError as failure:
            if failure.ename == InputError.__name__:
                raise InputError(failure.evalue) from failure
            raise
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        normalize(temporary)
    return target


def normalize(path: Path) -> None:
    """Drop from a stored notebook what differs between two runs of the same numbers, or between
    machines: times, paths, the kernel's own version. Values injected below a hidden parameters cell
    are hidden too."""
    content = nbformat.read(path, as_version=4)
    content.metadata.pop("papermill", None)
    content.metadata.pop("widgets", None)
    content.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content.metadata["language_info"] = {"name": "python"}
    hidden = [c for c in content.cells if {"parameters", "remove-input"} <= set(c.metadata.get("tags", []))]
    for index, cell in enumerate(content.cells):
        cell["id"] = f"cell-{index}"
        if hidden and "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = ["injected-parameters", "remove-input"]
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    nbformat.write(content, path)
