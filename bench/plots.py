"""Bars and lines as SVG, by hand. Pure; no fonts, scripts or styles from elsewhere, readable on light and dark pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import TypeAlias

COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#7f7f7f")
WIDTH = 760
LEFT, RIGHT, TOP = 170, 70, 58
BAR, GAP = 13, 12
HEIGHT = 320  # of a plot of lines
BOTTOM = 44
Points: TypeAlias = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis from zero, or from `least`."""

    most: float
    length: float
    least: float = 0.0

    def at(self, value: float) -> float:
        """Place of a value along the axis."""
        return self.length * (value - self.least) / ((self.most - self.least) or 1.0)

    def ticks(self) -> list[float]:
        """Four to nine round values."""
        step = round_step((self.most - self.least) or 1.0)
        first = int(-(-self.least // step))
        return [step * number for number in range(first, floor(self.most / step + 1e-9) + 1)]


def round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, four to nine of which make the span."""
    power: float = 10.0 ** floor(log10(span))
    return next(power * part for part in (0.1, 0.2, 0.5, 1.0) if span / (power * part) < 10)


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Horizontal bars, a group for each label, a colour for each series."""
    colours = colours_of(dict.fromkeys(name for group in groups.values() for name in group))
    scale = Scale(max((value for group in groups.values() for value in group.values()), default=1.0), WIDTH - LEFT - RIGHT)
    drawn: list[str] = []
    top = float(TOP)
    for label, group in groups.items():
        drawn.append(label_text(LEFT - 8, top + BAR * len(group) / 2 + 4, label, "end"))
        for name, value in group.items():
            drawn.append(
                f'<rect x="{LEFT}" y="{top:g}" width="{scale.at(value):.1f}" height="{BAR - 2}" fill="{colours[name]}"/>'
            )
            drawn.append(label_text(LEFT + scale.at(value) + 4, top + BAR - 4, number(value), "start"))
            top += BAR
        top += GAP
    return document(title, unit, colours, drawn, top + 4)


def lines(title: str, unit: str, along: str, series: Mapping[str, Points], *, logarithmic: bool = False) -> str:
    """A line for each series; `along` names the horizontal axis, which may be logarithmic."""
    place: Callable[[float], float] = log10 if logarithmic else float
    colours = colours_of(series)
    points = [point for found in series.values() for point in found]
    across = Scale(max(place(x) for x, _ in points), WIDTH - 60 - RIGHT, min(place(x) for x, _ in points))
    up = Scale(max(y for _, y in points) * 1.05 or 1.0, HEIGHT - TOP - BOTTOM)
    drawn = [*grid(up), label_text(60 + across.length / 2, HEIGHT - 8, along, "middle")]
    marks = sorted({x for x, _ in points}) if logarithmic else across.ticks()
    drawn += [label_text(60 + across.at(place(x)), HEIGHT - BOTTOM + 16, number(x), "middle") for x in marks]
    for name, found in series.items():
        places = [(60 + across.at(place(x)), HEIGHT - BOTTOM - up.at(y)) for x, y in found]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        if len(places) < 20:
            drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>' for x, y in places]
    return document(title, unit, colours, drawn, HEIGHT)


def grid(up: Scale) -> list[str]:
    """Horizontal lines with their values."""
    drawn = []
    for value in up.ticks():
        y = HEIGHT - BOTTOM - up.at(value)
        drawn.append(f'<line x1="60" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#888" stroke-width="0.4"/>')
        drawn.append(label_text(54, y + 4, number(value), "end"))
    return drawn


def colours_of(names: Mapping[str, object]) -> dict[str, str]:
    """A colour for each series."""
    return {name: COLOURS[position % len(COLOURS)] for position, name in enumerate(names)}


def label_text(x: float, y: float, label: str, anchor: str) -> str:
    """A short text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(label)}</text>'


def number(value: float) -> str:
    """Three digits that count, and thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def document(title: str, unit: str, colours: Mapping[str, str], drawn: Sequence[str], height: float) -> str:
    """The whole file: title, unit, legend, drawing."""
    legend = []
    x = 12.0
    for name, colour in colours.items():
        legend.append(f'<rect x="{x:.0f}" y="34" width="10" height="10" fill="{colour}"/>')
        legend.append(label_text(x + 14, 43, name, "start"))
        x += 34 + 6.6 * len(name)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" font-family="sans-serif" font-size="11">'
    heading = f'<text x="12" y="20" font-size="14">{escape(title)}, {escape(unit)}</text>'
    paper = f'<rect width="{WIDTH}" height="{height:g}" fill="white"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", paper, heading, *legend, *drawn, "</svg>", ""])
