"""The picture of docs/house.py: boxes on floors, arrows downward, dotted ones for what is loaded later.

Arrows that pass a floor have a place on it beside the boxes. Neighbours on a floor change places as long as fewer
arrows cross; then everything moves as near to what it is joined with as the others allow.
"""

from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Line

COLOURS = ["#F6DCC6", "#F9EDB8", "#CFE5F3", "#D5EAD2", "#E3D6EC"]
HEIGHT, PITCH, GAP, LANE = 0.56, 1.0, 0.3, 0.22


def draw(floors, arrows, lines, sections):
    """The figure: rooms on floors, each with its lines and its section; arrows, each with whether it is of later."""
    widths = {name: 1.05 + 0.028 * number**0.5 + 0.035 * len(name) for name, number in lines.items()}
    ways = {ends: route(ends, floors) for ends in arrows}
    links = [link for way in ways.values() for link in pairwise(way)]
    rows = placed(floors, ways, links)
    x = positions(rows, links, widths)
    left = min(x[row[0]] - width(row[0], widths) / 2 for row in rows) - 0.15
    right = max(x[row[-1]] + width(row[-1], widths) / 2 for row in rows) + 0.15
    bottom = -PITCH * (len(floors) - 1) - HEIGHT / 2
    figure = Figure(figsize=((right - left) * 0.92, (HEIGHT - bottom) * 0.92))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom - 0.12, HEIGHT / 2 + 0.12))
    axes.set_axis_off()
    colours = dict(zip(dict.fromkeys(sections.values()), COLOURS, strict=True))
    for ends, later in arrows.items():
        arrow(axes, later, corners(ends, ways, x, widths, floors))
    for number, row in enumerate(floors):
        for name in row:
            box(axes, x[name], -number * PITCH, widths[name], name, lines[name], colours[sections[name]])
    legend(axes, colours, left + 0.2, bottom + 2.4)
    return figure


# ---- where things stand


def route(pair, floors):
    """The room above, a place on each floor between, and the room below."""
    at = {name: number for number, names in enumerate(floors) for name in names}
    high, low = sorted(pair, key=at.__getitem__)
    return [high, *((pair, number) for number in range(at[high] + 1, at[low])), low]


def placed(floors, ways, links):
    """The floors with the places of passing arrows, in an order with few crossings."""
    rows = [list(names) for names in floors]
    for way in ways.values():
        for place in way[1:-1]:
            rows[place[1]].append(place)
    for sweep in range(6):
        for here, there in pairwise(rows if sweep % 2 == 0 else rows[::-1]):
            near = {one: [here.index(other) for other in joined(one, links) if other in here] for one in there}
            middle = {one: np.mean(near[one]) if near[one] else at for at, one in enumerate(there)}
            there.sort(key=middle.__getitem__)
    fewest, better = crossings(rows, links), True
    while better:
        better = False
        for row in rows:
            for at in range(len(row) - 1):
                row[at : at + 2] = row[at + 1], row[at]
                number = crossings(rows, links)
                if number < fewest:
                    fewest, better = number, True
                else:
                    row[at : at + 2] = row[at + 1], row[at]
    return rows


def joined(one, links):
    """What it is joined with, above and below."""
    return [b if a == one else a for a, b in links if one in (a, b)]


def crossings(rows, links):
    """How many pairs of arrows cross between neighbouring floors."""
    number = 0
    for high, low in pairwise(rows):
        above, under = ({one: at for at, one in enumerate(row)} for row in (high, low))
        ends = [(above[a], under[b]) for a, b in links if a in above and b in under]
        number += sum((a - c) * (b - d) < 0 for at, (a, b) in enumerate(ends) for c, d in ends[:at])
    return number


def width(one, widths):
    """How much of a floor it takes."""
    return widths[one] + GAP if isinstance(one, str) else LANE


def positions(rows, links, widths):
    """x of everything: near the mean of what it is joined with, passing arrows straight before all."""
    x = {}
    for row in rows:
        steps = [0.0, *((width(a, widths) + width(b, widths)) / 2 for a, b in pairwise(row))]
        x.update(zip(row, np.cumsum(steps) - sum(steps) / 2, strict=True))
    near = {one: joined(one, links) for one in x}
    for _ in range(60):
        for row in (*rows, *rows[::-1]):
            wanted, weights = [], []
            for one in row:
                pull = [8.0 if not isinstance(one, str) and not isinstance(other, str) else 1.0 for other in near[one]]
                wanted.append(np.average([x[other] for other in near[one]], weights=pull) if pull else x[one])
                weights.append(sum(pull) or 0.1)
            steps = np.cumsum([0.0, *((width(a, widths) + width(b, widths)) / 2 for a, b in pairwise(row))])
            x.update(zip(row, rising(np.array(wanted) - steps, weights) + steps, strict=True))
    return x


def rising(values, weights):
    """The nearest values, by weighted squares, none of which is below the one before it."""
    blocks = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            value, weight, number = blocks.pop()
            one = blocks[-1]
            one[0] = (one[0] * one[1] + value * weight) / (one[1] + weight)
            one[1:] = one[1] + weight, one[2] + number
    return np.concatenate([[value] * number for value, _, number in blocks])


# ---- what is drawn


def box(axes, x, y, wide, name, lines, colour):
    axes.add_patch(FancyBboxPatch(
        (x - wide / 2 + 0.08, y - HEIGHT / 2 + 0.08), wide - 0.16, HEIGHT - 0.16, boxstyle="round,pad=0.08",
        fc=colour, ec="0.35", linewidth=0.9, zorder=3,
    ))  # fmt: skip
    axes.text(x, y + 0.09, name, ha="center", va="center", fontsize=11, fontweight="bold", zorder=4)
    told = f"{round(lines, -2):,} lines" if lines >= 1000 else f"{max(10, round(lines, -1))} lines"
    axes.text(x, y - 0.15, told, ha="center", va="center", fontsize=8, color="0.3", zorder=4)


def port(ends, end, ways, x, widths):
    """Where on the edge of a box an arrow begins (end 0) or ends (-1), in the order of where the arrows there go."""
    room, beside = ways[ends][end], 1 if end == 0 else -2
    order = sorted((x[way[beside]], one) for one, way in ways.items() if way[end] == room)
    share = ([one for _, one in order].index(ends) + 0.5) / len(order) - 0.5
    return x[room] + share * min(0.75 * widths[room], 0.3 * len(order))


def corners(ends, ways, x, widths, floors):
    """The points of an arrow from its first end to its last: straight down where it passes a floor."""
    at = {name: number for number, names in enumerate(floors) for name in names}
    way = ways[ends]
    points = [(port(ends, 0, ways, x, widths), -at[way[0]] * PITCH - HEIGHT / 2)]
    for place in way[1:-1]:
        points += [(x[place], -place[1] * PITCH + HEIGHT / 2), (x[place], -place[1] * PITCH - HEIGHT / 2)]
    points.append((port(ends, -1, ways, x, widths), -at[way[-1]] * PITCH + HEIGHT / 2))
    return points if way[0] == ends[0] else points[::-1]


def arrow(axes, later, points):
    x, y = points[-1]
    tip = 0.11 if y < points[0][1] else -0.11
    vertices, codes = [points[0]], [Line.MOVETO]
    for (a, b), (c, d) in pairwise([*points[:-1], (x, y + tip)]):
        vertices += [(a, (b + d) / 2), (c, (b + d) / 2), (c, d)]
        codes += [Line.CURVE4] * 3
    colour, style = ("#B3541E", (0, (2, 2))) if later else ("0.25", "solid")
    axes.add_patch(PathPatch(Line(vertices, codes), fc="none", ec=colour, linewidth=1.1, linestyle=style, zorder=2))
    axes.fill([x - 0.055, x + 0.055, x], [y + tip, y + tip, y], color=colour, zorder=2)


def legend(axes, colours, left, y):
    for number, (section, colour) in enumerate(colours.items()):
        at = y - 0.3 * number
        style = {"boxstyle": "round,pad=0.03", "fc": colour, "ec": "0.35", "linewidth": 0.8}
        axes.add_patch(FancyBboxPatch((left, at), 0.3, 0.12, **style))
        axes.text(left + 0.5, at + 0.06, section, va="center", fontsize=9.5)
    for number, words in enumerate(("imports", "loads later, when asked")):
        at = y - 0.3 * (len(colours) + 0.2 + number)
        arrow(axes, bool(number), [(left + 0.15, at + 0.2), (left + 0.15, at - 0.06)])
        axes.text(left + 0.5, at + 0.06, words, va="center", fontsize=9.5)
