"""Where things lie: the one place that knows the folders of a checkout."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from clusterability.base.errors import InputError


def project_root() -> Path:
    """Folder that holds ``_toc.yml`` and ``book/``: the checkout this package runs from, else the
    nearest one at or above the working directory, else the working directory itself."""
    for folder in (Path(__file__).resolve().parents[3], Path.cwd(), *Path.cwd().parents):
        if (folder / "_toc.yml").is_file() and (folder / "book").is_dir():
            return folder
    return Path.cwd()


def data_folder() -> Path:
    """``data/`` of the checkout: data sets, published values, results."""
    return project_root() / "data"


def local_folder() -> Path:
    """What is computed here and not under version control: ``$CLUSTERABILITY_LOCAL``, or ``data/local``."""
    return Path(os.environ.get("CLUSTERABILITY_LOCAL") or data_folder() / "local")


def networks_folder() -> Path:
    """Trained networks, kept so that they are not trained again."""
    return local_folder() / "networks"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``, moved there on success and removed on failure: a reader of ``path``
    sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file; nothing in it is executed. InputError if it is no archive of plain arrays."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise TypeError("a member of the archive is no array")
    except Exception as failure:  # a damaged archive or header can raise nearly anything
        raise InputError(f"{path} is no readable .npz file of plain arrays") from failure
    return arrays
