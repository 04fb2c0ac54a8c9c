"""The documentation site builds strictly, shows every page, and fetches nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)[^>]*?(?:src|href)=["'](https?://[^"']+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the pages of this checkout."""
    built = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", built)
    shutil.copytree(ROOT / "docs", built / "docs")
    command = [Path(sys.executable).parent / "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=built, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return built / "build" / "site"


def test_every_page_is_in_the_navigation_and_in_the_site(site: Path) -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert set(targets(nav)) == pages
    for page in pages:
        assert (site / page.removesuffix(".md").removesuffix("index") / "index.html").exists(), page


def test_the_first_page_leads_to_every_other() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_every_block_of_code_is_shown_as_one(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "```" not in page.read_text(), f"{page.parent.name}: a block that the site does not take for one"


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not LOADED.findall(page.read_text()), page.parent.name


def test_strict_means_that_a_dead_link_fails(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[nowhere](nowhere.md)\n")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "x"\n')
    command = [Path(sys.executable).parent / "zensical", "build", "--strict"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def targets(nav: Any) -> Iterator[str]:
    """Files that a navigation names, however deep."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for each in nav.values():
            yield from targets(each)
    else:
        for each in nav:
            yield from targets(each)
