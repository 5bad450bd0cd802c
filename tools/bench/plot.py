# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What benchmarks print and keep: a table as text and as CSV, curves as an SVG plot. Plain Python."""
import csv
import math
from xml.sax.saxutils import escape

# Told apart also by who sees few colours, on white (Okabe and Ito); beyond that, dashed.
COLORS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"
DASHES = "", "7 4", "2 3"
WIDTH, HEIGHT = 960, 480
LEFT, RIGHT, TOP, BOTTOM = 76, 230, 44, 56
FONT = 'font-family="DejaVu Sans, Helvetica, Arial, sans-serif"'


def table(rows, notes=()):
    """rows: the first is the heading; cells are text. The first column is flush left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join([*lines, *(f"  {note}" for note in notes)])


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def steps(top, about=6):
    """Round values from 0 to just over top."""
    step = 10 ** math.floor(math.log10(top / about)) if top > 0 else 1
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * about >= top)
    return [i * step for i in range(math.ceil(top / step) + 1)]


class Plot:
    """x and y from 0. `rules` are horizontal lines, (y, text)."""

    def __init__(self, title, x_label, y_label, series, rules=()):
        self.title, self.labels, self.series, self.rules = title, (x_label, y_label), series, rules
        self.xs = steps(max((x for _, points in series for x, _ in points), default=1), 8)
        self.ys = steps(max([y for _, points in series for _, y in points] + [y for y, _ in rules], default=1))

    def x(self, value):
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self.xs[-1]

    def y(self, value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.ys[-1]

    @staticmethod
    def text(x, y, text, anchor="start", more=""):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'

    def axes(self):
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for value in self.ys:
            yield f'<path d="M{LEFT} {self.y(value):.1f}H{right}" stroke="#ddd"/>'
            yield self.text(LEFT - 8, self.y(value) + 4, f"{value:g}", "end")
        for value in self.xs:
            yield f'<path d="M{self.x(value):.1f} {bottom}v5" stroke="#444"/>'
            yield self.text(self.x(value), bottom + 20, f"{value:g}", "middle")
        yield f'<path d="M{LEFT} {TOP}V{bottom}H{right}" stroke="#444" fill="none"/>'
        yield self.text((LEFT + right) / 2, HEIGHT - 14, self.labels[0], "middle")
        middle = (TOP + bottom) / 2
        yield self.text(20, middle, self.labels[1], "middle", f'transform="rotate(-90 20 {middle})"')
        yield self.text(LEFT, 24, self.title, more='font-size="16" font-weight="bold"')

    def curves(self):
        for i, (name, points) in enumerate(self.series):
            style = f'stroke="{COLORS[i % len(COLORS)]}" stroke-width="2" fill="none" stroke-linejoin="round"'
            dash = DASHES[i // len(COLORS) % len(DASHES)]
            style += f' stroke-dasharray="{dash}"' if dash else ""
            yield f'<polyline {style} points="{" ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)}"/>'
            at = TOP + 10 + 22 * i
            yield f'<path {style} d="M{WIDTH - RIGHT + 16} {at}h28"/>' + self.text(WIDTH - RIGHT + 52, at + 4, name)

    def limits(self):
        for value, text in self.rules:
            at = self.y(value)
            yield f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#666" stroke-dasharray="4 4"/>'
            yield self.text(LEFT + 6, at - 5, text, more='fill="#444" font-size="12"')

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
                       f'height="{HEIGHT}" {FONT} font-size="13">\n<rect width="100%" height="100%" fill="#fff"/>\n')
            file.write("\n".join([*self.axes(), *self.limits(), *self.curves()]) + "\n</svg>\n")
