"""Code blocks of a Markdown page, and how each kind is run.

- ```` ```python title=shop.py ````: written as that file into the page's own folder.
- ```` ```python ````: run as a program there.
- ```` ```sh ````: run there; its exit code counts. A block of `scripts/…` only has to name scripts that another check runs.
- ```` ```sh background="words" ````: started, left running once it said these words; its `export` lines count from then on.
- ```` ```text ````, ```` ```json ````: for reading.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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
    pairs = (word.partition("=") for word in shlex.split(match[2]))
    return Block(match[1], {name: value for name, _, value in pairs}, match[3], text.count("\n", 0, match.start()) + 1)
