"""Figures for people: tables on the terminal, and a chart in SVG."""
import math
from xml.sax.saxutils import escape

COLORS = {"redis": "#c0392b", "postgresql": "#2c6fab", "tarantool": "#d68910"}


def ratio_text(ratio):
    return "-" if ratio is None else "%.2f (%.2f-%.2f)" % (ratio["median"], ratio["min"], ratio["max"])


def heading(peers):
    return "  %-9s %7s %5s %11s " % ("work", "clients", "deep", "graftd/s") + "".join("%20s" % ("/ " + name) for name in peers)


def line(cell, peers):
    rate = cell["medians"].get("graftd", {}).get("rate")
    return "  %-9s %7d %5d %11s " % (cell["work"], cell["clients"], cell["pipeline"], "-" if rate is None else "%.0f" % rate) + "".join(
        "%20s" % ratio_text(cell["ratios"].get(name)) for name in peers)


def latencies(cells, servers):
    """p50, p99 and p99.9 in µs, for each server."""
    lines = ["  %-9s %7s %5s " % ("work", "clients", "deep") + "".join("%26s" % name for name in servers)]
    for cell in cells:
        text = "  %-9s %7d %5d " % (cell["work"], cell["clients"], cell["pipeline"])
        for name in servers:
            of = cell["medians"].get(name)
            text += "%26s" % ("-" if of is None else "%.0f / %.0f / %.0f" % (of["p50"], of["p99"], of["p999"]))
        lines.append(text)
    return "\n".join(lines)


# ---- the chart: a row for each cell, a dot for each peer, on a logarithmic axis around 1 ----

LEFT, RIGHT, ROW, TOP, WIDTH = 190, 30, 22, 76, 760


def x_of(ratio, low, high):
    part = (math.log10(ratio) - low) / (high - low)
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def text(x, y, words, more=""):
    return '<text x="%.1f" y="%.1f" %s>%s</text>' % (x, y, more, escape(words))


def legend(peers):
    parts = []
    for i, name in enumerate(peers):
        x = LEFT + i * 130
        parts.append('<circle cx="%d" cy="44" r="5" fill="%s"/>' % (x, COLORS[name]))
        parts.append(text(x + 10, 48, name))
    return parts


def axis(low, high, bottom):
    parts = []
    for power in range(low, high + 1):
        x = x_of(10**power, low, high)
        strong = power == 0
        parts.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>' % (x, TOP - 6, x, bottom, "#333" if strong else "#ddd"))
        parts.append(text(x, TOP - 10, "as fast" if strong else "%g ×" % 10**power, 'text-anchor="middle" fill="#666"'))
    return parts


def row(cell, y, low, high):
    parts = [text(LEFT - 12, y + 4, "%s, %d × %d" % (cell["work"], cell["clients"], cell["pipeline"]), 'text-anchor="end"')]
    for name, ratio in cell["ratios"].items():
        a, x, b = (x_of(ratio[key], low, high) for key in ("min", "median", "max"))
        parts.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="2"/>' % (a, y, b, y, COLORS[name]))
        parts.append('<circle cx="%.1f" cy="%d" r="5" fill="%s" fill-opacity="0.85"/>' % (x, y, COLORS[name]))
    return parts


def for_the_chart(cells):
    """One client, 16, and as many as there are with their pipelines full: enough to see by."""
    shapes = {(cell["clients"], cell["pipeline"]) for cell in cells}
    shown = {(1, 1), (16, 1), max(shapes, default=None)}
    return [cell for cell in cells if cell["ratios"] and (cell["clients"], cell["pipeline"]) in shown]


def chart(cells, peers, note):
    """Calls a second of graftd as a multiple of each peer's: the median, and from the least to the greatest of the rounds."""
    shown = for_the_chart(cells)
    every = [ratio[key] for cell in shown for ratio in cell["ratios"].values() for key in ("min", "max")]
    if not every:
        return None
    low, high = min(-1, math.floor(math.log10(min(every)))), max(1, math.ceil(math.log10(max(every))))
    bottom = TOP + ROW * len(shown)
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">' % (WIDTH, bottom + 34),
             '<rect width="100%" height="100%" fill="#fff"/>',
             text(14, 22, "graftd beside others: calls a second, as a multiple of theirs (work, clients × pipeline)",
                  'font-size="14" font-weight="bold"')]
    parts += legend(peers) + axis(low, high, bottom)
    for i, cell in enumerate(shown):
        parts += row(cell, TOP + ROW * i + ROW // 2, low, high)
    parts.append(text(14, bottom + 22, note, 'fill="#666"'))
    return "\n".join(parts + ["</svg>"]) + "\n"
