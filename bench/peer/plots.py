"""Plots of bench/peers' summaries, as SVG: a panel for each size, a group of bars for each number of cameras."""

import math
import pathlib

from peer import tables

COLOURS = {"bare": "#9a9a9a", "vas": "#0b6e4f", "iceoryx2": "#3f88c5", "gstreamer": "#f49d37", "frigate": "#a23b72",
           "opencv": "#6b4e3d"}
WIDTH, PANEL, HEIGHT, TOP, BOTTOM, LEFT = 900, 430, 330, 62, 46, 52
STYLE = "font-family:sans-serif;font-size:11px;fill:#222"


class Scale:
    """Values to heights, linear or logarithmic, from a round number to a round number."""

    def __init__(self, values, logarithmic):
        self.log = logarithmic
        highest = max(values, default=1)
        if logarithmic:
            self.low = 10 ** math.floor(math.log10(min(values, default=1)))
            self.high = 10 ** math.ceil(math.log10(highest))
            decades = round(math.log10(self.high / self.low))
            self.marks = [self.low * 10 ** decade for decade in range(decades + 1)]
        else:
            step = 10 ** math.floor(math.log10(highest))
            step = step / 2 if highest / step < 3 else step
            self.low = step * math.floor(min(0, *values) / step)
            self.high = step * math.ceil(highest / step)
            self.marks = [self.low + step * mark for mark in range(round((self.high - self.low) / step) + 1)]

    def y(self, value):
        if self.log:
            part = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP)

    def base(self):
        return self.y(self.low if self.log else 0)


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{STYLE}" {more}>{words}</text>'


def line(x1, y1, x2, y2, colour):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def panel(at, title, groups, ways, value, logarithmic):
    """One size. `value` makes a bar's height, and the end of its whisker or None, from a summary."""
    bars = {(count, way): value(group[way]) for count, group in groups.items() for way in ways
            if way in group and group[way].carried}
    scale = Scale([height for both in bars.values() for height in both if height is not None], logarithmic)
    left, right = at + LEFT, at + PANEL
    parts = [text(left, TOP - 12, title, 'font-weight="bold"')]
    for mark in scale.marks:
        y = scale.y(mark)
        parts += [line(left, y, right, y, "#ddd"), text(left - 6, y + 4, f"{mark:g}", 'text-anchor="end"')]
    of_group = (right - left) / len(groups)
    width = of_group * 0.8 / len(ways)
    for index, count in enumerate(groups):
        start = left + of_group * (index + 0.1)
        words = f"{count} camera{'s' if count > 1 else ''}"
        parts.append(text(start + of_group * 0.4, HEIGHT - BOTTOM + 16, words, 'text-anchor="middle"'))
        for place, way in enumerate(ways):
            x = start + place * width
            if (count, way) not in bars:
                parts.append(text(x + width / 2, scale.base() - 4, "x", 'text-anchor="middle" fill-opacity="0.6"'))
                continue
            height, whisker = bars[count, way]
            top, base = sorted((scale.y(height), scale.base()))
            parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{width - 1:.1f}" height="{max(base - top, 1):.1f}" '
                         f'fill="{COLOURS[way]}"/>')
            if whisker is not None:
                middle, end = x + (width - 1) / 2, scale.y(whisker)
                parts += [line(middle, scale.y(height), middle, end, COLOURS[way]),
                          line(middle - 3, end, middle + 3, end, COLOURS[way])]
    parts.append(line(left, scale.base(), right, scale.base(), "#555"))
    return parts


def chart(summaries, title, ways, value, logarithmic=False):
    sizes = {}
    for (size, fps, count), group in summaries.items():
        sizes.setdefault(f"{size} at {fps}", {})[count] = group
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', text(10, 18, title, 'font-weight="bold"')]
    x = 10
    for way in ways:
        parts += [f'<rect x="{x}" y="27" width="10" height="10" fill="{COLOURS[way]}"/>', text(x + 14, 36, way)]
        x += 90
    parts.append(text(x, 36, "x: not carried by the machine, or not measured"))
    for index, (size, groups) in enumerate(sizes.items()):
        parts += panel(index * (WIDTH - PANEL - 20), size, groups, ways, value, logarithmic)
    return "\n".join([*parts, "</svg>", ""])


def all_of(results, prefix):
    summaries = tables.best(results)
    ways = [way for way in tables.PLACE if way != "bare"]
    charts = {
        "cost": chart(summaries, "Processor time beyond bare decode, consumers included, ms a picture", ways,
                      lambda summary: (summary.beyond, None)),
        "age": chart(summaries, "Age of a frame when its consumer has it, ms: p50 (bar) and p99 (whisker)", ways,
                     lambda summary: (summary.p50, summary.p99), logarithmic=True),
        "memory": chart(summaries, "Memory of a camera (Pss, consumer included), MiB", tables.PLACE,
                        lambda summary: (summary.mib, None)),
    }
    for name, svg in charts.items():
        pathlib.Path(f"{prefix}-{name}.svg").write_text(svg)
