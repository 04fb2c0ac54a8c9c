"""Code blocks of a Markdown page, and how each kind is run.

- ```` ```python title="shop.py" ````: written as that file into the page's own folder.
- ```` ```python ````: run as a program there.
- ```` ```sh ````: run there; its exit code counts. A block of `scripts/…` only has to name scripts that another check runs.
- ```` ```sh ```` under a line `<!-- background: words -->`: started, left running once it said these words; its `export` lines
  count from then on.
- ```` ```text ````, ```` ```json ````: for reading.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?:<!-- background: ([^\n]+) -->\n)?```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block: its language, its attributes and where it begins."""

    language: str
    attributes: dict[str, str]
    code: str
    line: int


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text = page.read_text()
    return [_block(match, text) for match in _FENCE.finditer(text)]


def _block(match: re.Match[str], text: str) -> Block:
    background, language, attributes, code = match.groups()
    pairs = (word.partition("=") for word in shlex.split(attributes))
    given = {name: value for name, _, value in pairs} | ({"background": background} if background else {})
    return Block(language, given, code, text.count("\n", 0, match.start()) + 1)
