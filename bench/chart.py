"""docs/benchmarks.svg: MB of JSON that a core converts in a second, by corpus and tool."""
from xml.sax.saxutils import escape

TOOLS = ("hydrant", "DuckDB", "DuckDB, schema given", "Polars", "pyarrow", "chdb")
LEFT, RIGHT, BAR, GAP, GROUP, TOP = 150, 70, 15, 3, 20, 62
WIDTH = 760

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .kind { font-weight: 600; font-size: 13px }
  .note { fill: #57606a; font-size: 11px }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .t0 { fill: #0969da } .t1 { fill: #8c959f } .t2 { fill: #8c959f } .t3 { fill: #afb8c1 } .t4 { fill: #afb8c1 } .t5 { fill: #afb8c1 }
  .ours { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #9198a1 } .grid { stroke: #3d444d }
    .t0 { fill: #4493f8 } .t1 { fill: #7d8590 } .t2 { fill: #7d8590 } .t3 { fill: #59626d } .t4 { fill: #59626d } .t5 { fill: #59626d }
  }
"""


def speeds(r):
    """[(tool, MB a CPU second or None)] of one corpus."""
    yield "hydrant", r["size"] / 1e6 / r["cpu"]
    for tool in TOOLS[1:]:
        peer = r["peers"].get(tool)
        if peer:
            yield tool, None if "error" in peer else peer["mb"] / peer["cpu"]


def nice_step(most):
    for step in (10, 20, 25, 50, 100, 200, 250, 500, 1000):
        if most / step <= 6:
            return step
    return 2000


def chart(results):
    most = max(v for r in results for _, v in speeds(r) if v)
    step = nice_step(most)
    scale = (WIDTH - LEFT - RIGHT) / most
    y, body = TOP, []
    for r in results:
        body.append('<text class="kind" x="12" y="%d">%s</text>' % (y + 12, escape(r["kind"])))
        for tool, value in speeds(r):
            i = TOOLS.index(tool)
            ours = ' class="ours"' if i == 0 else ""
            y += 0
            body.append('<text%s x="%d" y="%d" text-anchor="end">%s</text>' % (ours, LEFT - 8, y + 12 if i else y + 12, escape(tool if tool != TOOLS[2] else "… schema given")))
            if value is None:
                body.append('<text class="note" x="%d" y="%d">fails</text>' % (LEFT + 5, y + 12))
            else:
                body.append('<rect class="t%d" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>' % (i, LEFT, y, max(value * scale, 1), BAR))
                body.append('<text%s x="%.1f" y="%d">%.0f</text>' % (ours, LEFT + max(value * scale, 1) + 5, y + 12, value))
            y += BAR + GAP
        y += GROUP
    bottom = y - GROUP + 4
    grid = []
    for i in range(int(most / step) + 1):
        x = LEFT + i * step * scale
        grid.append('<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>' % (x, TOP - 6, x, bottom))
        grid.append('<text class="note" x="%.1f" y="%d" text-anchor="middle">%d</text>' % (x, bottom + 14, i * step))
    head = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="MB of JSON a CPU second, by tool">' % (
        WIDTH, bottom + 24, WIDTH, bottom + 24), "<style>%s</style>" % STYLE,
        '<text class="title" x="12" y="22">JSON to Parquet: MB a CPU second, one thread, zstd level 1</text>',
        '<text class="note" x="12" y="40">longer is better; hydrant’s files restore to the exact bytes, which is in its time</text>']
    return "\n".join(head + grid + body + ["</svg>", ""])
