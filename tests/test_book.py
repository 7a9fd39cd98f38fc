"""The book as a reader gets it: it builds without a warning, and its pages work in a browser from disk.

The browser's part is skipped where there is no Chromium. CLUSTERABILITY_REQUIRE_BROWSER=1 makes that
a failure instead.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
SCHEMES = ("light", "dark")
WIDTHS = {"desktop": 1280, "phone": 390}

# No sandbox: Chromium has none for root, which containers run as. The others keep it off the network.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCAL_SCHEMES = ("file:", "data:", "blob:", "about:")

OBSERVE = """async () => {
  if (window.MathJax?.startup?.promise) await MathJax.startup.promise;
  const images = [...document.images];
  for (const image of images) image.loading = "eager";
  await Promise.all(images.map(image => image.decode().catch(() => {})));
  const formulas = [...document.querySelectorAll("span.math, div.math")];
  return {
    theme: document.documentElement.dataset.theme,
    width: document.documentElement.scrollWidth,
    images: images.map(image => [image.getAttribute("src"), image.alt, image.naturalWidth]),
    formulas: formulas.length,
    raw_formulas: formulas.filter(f => !f.querySelector("mjx-container")).map(f => f.textContent),
    wrong_formulas: [...document.querySelectorAll("[data-mml-node=merror]")].map(f => f.textContent),
  };
}"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built pages. Their sources are copied first, so that nothing else can leak in."""
    source = tmp_path_factory.mktemp("source")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "book", source / "book", ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    )
    # What is installed into a checkout's .venv holds Markdown files, which must not become pages.
    (source / ".venv").mkdir()
    (source / ".venv" / "stray.md").write_text("# Stray\n", encoding="utf8")
    # jupyter-book cannot be run with -m, and its script need not be on the PATH.
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
    flags = ["-W", "-n", "--keep-going", "--all"]
    build = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=300, check=False)
    assert build.returncode == 0, build.stdout + build.stderr
    return source / "_build" / "html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium. It is closed with this module: while it is open, no other event loop can run."""
    try:
        from playwright import sync_api
    except ModuleNotFoundError:
        _no_browser("the package playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        except sync_api.Error as failure:
            _no_browser(f"no Chromium could be started: {failure.message.splitlines()[0]}")
        yield chromium
        chromium.close()


def _no_browser(reason: str) -> NoReturn:
    if os.environ.get("CLUSTERABILITY_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


# Pages of every kind at both widths in both schemes, the others once: what differs is the theme's, not the page's.
EVERY_WAY = [TOC["root"], "book/mlp-regularization", "book/lesion-single", "book/method", "search"]
VISITS = [
    *product(EVERY_WAY, SCHEMES, WIDTHS),
    *((page, SCHEMES[n % 2], list(WIDTHS)[n // 2 % 2]) for n, page in enumerate(PAGES) if page not in EVERY_WAY),
]


@pytest.mark.parametrize(("page_name", "scheme", "screen"), VISITS)
def test_a_page_works_from_disk(site: Path, browser: Any, page_name: str, scheme: str, screen: str) -> None:
    """In the reader's colour scheme, as wide as the screen, with all images described and formulas typeset."""
    errors: list[str] = []
    outside_requests: list[str] = []

    def abort(route: Any) -> None:
        outside_requests.append(route.request.url)
        route.abort()

    context = browser.new_context(color_scheme=scheme, viewport={"width": WIDTHS[screen], "height": 844})
    context.route(re.compile(rf"^(?!{'|'.join(LOCAL_SCHEMES)})"), abort)
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / f"{page_name}.html").as_uri())
    seen = page.evaluate(OBSERVE)
    context.close()
    assert errors == [], "the console has errors"
    assert outside_requests == [], "something is asked of the network"
    assert seen["theme"] == scheme
    assert seen["width"] <= WIDTHS[screen] + 1
    for source, alt, width in seen["images"]:
        assert width > 0, f"{source} did not load"
        # Without a text of its own, a notebook's figure gets its file's path: set the cell's
        # metadata {"mystnb": {"image": {"alt": "..."}}}.
        assert alt.strip(), f"{source} has no alternative text"
        assert Path(alt).name != Path(source).name, f"{source} has its own name for alternative text"
    assert seen["raw_formulas"] == []
    assert seen["wrong_formulas"] == []
    assert seen["formulas"] > 0 or page_name != "book/method"


class _Anchors(HTMLParser):
    """The links of a page, and the places in it that a link can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if values.get("id"):
            self.places.add(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])


def test_links_lead_somewhere(site: Path) -> None:
    read = functools.cache(lambda file: _Anchors(file.read_text(encoding="utf8")))
    for page in PAGES:
        here = site / f"{page}.html"
        assert read(here).links
        for link in read(here).links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            assert target.is_file(), f"{page}: {link} leads to no file"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in read(target).places, f"{page}: {link} leads to no place in its page"


def test_site_opens_on_the_front_page(site: Path) -> None:
    assert f"url={TOC['root']}.html" in (site / "index.html").read_text(encoding="utf8")
