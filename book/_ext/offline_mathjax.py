"""Ship MathJax with the book, so that its pages show formulas without a network.

The PyPI package ``sphinx-mathjax-offline`` holds the whole of MathJax 3 and is itself a Sphinx
extension, but one that copies 15 MB and selects an output whose fonts a browser refuses to load
from ``file://``. The SVG output draws its glyphs as paths: one file is all it needs.
"""

from importlib import resources
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.fileutil import copy_asset_file

SCRIPT = "tex-svg.js"
TARGET = "mathjax"


def select_script(app: Sphinx, config: Config) -> None:
    """Point Sphinx to the script inside the built book rather than to a CDN."""
    config.mathjax_path = f"{TARGET}/{SCRIPT}"


def copy_script(app: Sphinx) -> None:
    """Copy the script before the pages are written, because they carry its checksum."""
    if app.builder.format != "html":
        return
    try:
        package = resources.files("sphinx-mathjax-offline")
    except ModuleNotFoundError as error:
        raise ExtensionError("formulas need MathJax: install the package sphinx-mathjax-offline") from error
    target = Path(app.outdir) / "_static" / TARGET
    target.mkdir(parents=True, exist_ok=True)
    with resources.as_file(package / "static" / "mathjax" / SCRIPT) as source:
        copy_asset_file(str(source), str(target))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", select_script)
    app.connect("builder-inited", copy_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
