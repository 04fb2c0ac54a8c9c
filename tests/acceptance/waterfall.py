"""Draws a trace as a waterfall: a row a span, a colour a process, and below it the pages, which are traces of their own.

An SVG with a ground of its own, so that it can be read on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from apps.collector import Span, Spans

WIDTH, LABELS, MARGIN, ROW, TOP = 1180, 400, 24, 21, 92
PLOT = WIDTH - LABELS - MARGIN - 92  # room on the right for the last bar's duration
COLOURS = ("#c2620a", "#2463c9", "#0b8a5f", "#8a3fc7", "#b3264f")
INK, FAINT, LINE, GROUND = "#1f2733", "#5c6675", "#dfe3e9", "#fafbfc"
FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"
SCHEDULED = "StartActivity:"


@dataclass(frozen=True)
class Row:
    """A line of the picture: a span, how deep it stands, and when it was scheduled if it is an activity."""

    span: Span
    depth: int
    scheduled: int | None = None


def draw(trace: Spans, pages: Spans) -> str:
    """The picture of a trace.

    Args:
        trace: All its spans.
        pages: The `receive` spans that spans of it are linked to.
    """
    rows, began = list(_rows(trace)), min(span.began for span in trace)
    ended = max(span.ended for span in trace)
    processes = list(dict.fromkeys(row.span.process[0] for row in rows))
    picture = _Picture(began, ended, dict(zip(processes, COLOURS, strict=False)), len(rows), len(pages))
    for number, row in enumerate(rows):
        picture.row(number, row)
    for number, page in enumerate(pages):
        picture.page(number, page, [n for n, row in enumerate(rows) if (page.trace, page.id) in row.span.links], rows)
    return picture.written(len(trace))


def _rows(trace: Spans) -> Iterator[Row]:
    """Depth first, in order of time. That an activity was scheduled is a mark in its row and no row of its own."""
    children: dict[str, list[Span]] = {}
    for span in trace:
        children.setdefault(span.parent, []).append(span)

    def walk(span: Span, depth: int) -> Iterator[Row]:
        below = children.get(span.id, [])
        if span.name.startswith(SCHEDULED) and len(below) == 1:
            yield Row(below[0], depth, scheduled=span.began)
            below = children.get(below[0].id, [])
        else:
            yield Row(span, depth)
        for child in below:
            yield from walk(child, depth + 1)

    for root in children[""]:
        yield from walk(root, 0)


class _Picture:
    def __init__(self, began: int, ended: int, colours: dict[str, str], rows: int, pages: int) -> None:
        self.began, self.colours = began, colours
        self.milliseconds = (ended - began) / 1e6
        self.pages_top = TOP + rows * ROW + 44
        self.height = self.pages_top + pages * ROW + 20
        self.bottom = TOP + rows * ROW
        self._under: list[str] = []
        self._over: list[str] = []

    def x(self, moment: int) -> float:
        share = (moment - self.began) / 1e6 / self.milliseconds
        return round(LABELS + max(0.0, min(1.0, share)) * PLOT, 1)

    def row(self, number: int, row: Row) -> None:
        y, span = TOP + number * ROW, row.span
        if number % 2 == 0:
            self._under.append(f'<rect x="{MARGIN / 2}" y="{y}" width="{WIDTH - MARGIN}" height="{ROW}" fill="#f1f3f6"/>')
        self._label(MARGIN + row.depth * 12, y, span.name, span.attributes.get("uno.subscription", ""))
        if row.scheduled is not None:
            self._mark(row.scheduled, span.began, y, self.colours[span.process[0]])
        self._bar(span, y, self.colours[span.process[0]])

    def page(self, number: int, span: Span, linked: list[int], rows: list[Row]) -> None:
        y = self.pages_top + number * ROW
        count = span.attributes["messaging.batch.message_count"]
        self._label(MARGIN, y, span.name, f"{count} event{'s' if count > 1 else ''}")
        self._bar(span, y, self.colours[span.process[0]], hollow=True)
        for target in linked:
            x, above = self.x(rows[target].span.began), TOP + target * ROW + ROW / 2
            path = f"M{x} {above} C{x - 16} {above + 30} {x - 16} {y - 30} {self.x(span.began)} {y + 6}"
            self._under.append(f'<path d="{path}" fill="none" stroke="{FAINT}" stroke-width="1" stroke-dasharray="2 4"/>')

    def _label(self, x: float, y: float, words: str, more: str) -> None:
        faint = f'<tspan dx="7" fill="{FAINT}" font-size="11">{escape(more)}</tspan>' if more else ""
        self._over.append(f'<text x="{x}" y="{y + 14.5}" fill="{INK}">{escape(words)}{faint}</text>')

    def _bar(self, span: Span, y: float, colour: str, *, hollow: bool = False) -> None:
        x, width = self.x(span.began), max(self.x(span.ended) - self.x(span.began), 2.5)
        filled = f'fill="{GROUND}" stroke="{colour}" stroke-width="1.4"' if hollow else f'fill="{colour}"'
        self._over.append(f'<rect x="{x}" y="{y + 5}" width="{width:.1f}" height="{ROW - 10}" rx="2.5" {filled}/>')
        took = (span.ended - span.began) / 1e6
        words = f"{took:.1f} ms" if took < 10 else f"{took:.0f} ms"
        self._over.append(f'<text x="{x + width + 6:.1f}" y="{y + 14.5}" fill="{FAINT}" font-size="11">{words}</text>')

    def _mark(self, scheduled: int, began: int, y: float, colour: str) -> None:
        x, middle = self.x(scheduled), y + ROW / 2
        self._over.append(f'<path d="M{x} {y + 5}v{ROW - 10}M{x} {middle}H{self.x(began)}" stroke="{colour}" fill="none"/>')

    def _axis(self) -> Iterator[str]:
        step = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10**6) if self.milliseconds / step <= 8)
        for moment in range(0, int(self.milliseconds) + 1, step):
            x = self.x(self.began + moment * 1_000_000)
            yield f'<path d="M{x} {TOP - 6}V{self.height - 14}" stroke="{LINE}"/>'
            yield f'<text x="{x}" y="{TOP - 12}" fill="{FAINT}" font-size="11" text-anchor="middle">{moment} ms</text>'

    def _legend(self) -> Iterator[str]:
        x = LABELS
        for process, colour in self.colours.items():
            yield f'<rect x="{x}" y="22" width="12" height="12" rx="2.5" fill="{colour}"/>'
            yield f'<text x="{x + 18}" y="32" fill="{INK}">{escape(process)}</text>'
            x += 40 + 8 * len(process)
        yield f'<path d="M{x} 23v10M{x} 28h14" stroke="{FAINT}" fill="none"/>'
        yield f'<text x="{x + 20}" y="32" fill="{FAINT}">scheduled</text>'
        yield f'<path d="M{x + 100} 28h22" stroke="{FAINT}" stroke-dasharray="2 4"/>'
        yield f'<text x="{x + 128}" y="32" fill="{FAINT}">link</text>'

    def written(self, spans: int) -> str:
        head = f'<text x="{MARGIN}" y="33" fill="{INK}" font-size="17" font-weight="600">One order, one trace</text>'
        told = f"{spans} spans of {len(self.colours)} processes in {self.milliseconds:.0f} ms"
        below = f'<text x="{MARGIN}" y="54" fill="{FAINT}">{told}</text>'
        apart = f'<text x="{MARGIN}" y="{self.pages_top - 9}" fill="{FAINT}">pages that were read: traces of their own</text>'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
                f'height="{self.height}" font-family="{FONT}" font-size="12.5" role="img">',
                f"<title>One order, one trace: {told}</title>",
                f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{self.height - 1}" rx="10" fill="{GROUND}" stroke="{LINE}"/>',
                *self._under,
                *self._axis(),
                head,
                below,
                apart,
                *self._legend(),
                *self._over,
                "</svg>\n",
            ]
        )
