"""Draw docs/architecture.svg: where the parts are, and what holds each level to the data model."""

from __future__ import annotations

from html import escape

# What a level is, who judges it, with which checks.
LEVELS = (
    ("1  Dockerfile, compose file", "nox -s lint", "contract: the text"),
    ("2  built image", "nox -s build, scan", "contract.image, scan"),
    ("3  running container", "nox -s smoke", "faults and budgets"),
    ("4  rendered manifests", "nox -s chart", "contract.chart"),
    ("5  live cluster", "nox -s cluster", "drills under load"),
)
STYLE = """
  text { font: 17px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .head { font-size: 19px; font-weight: 700 } .code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 15px }
  .small { font-size: 15px; fill: #59636e } .paper { fill: #fff } .box { fill: #f6f8fa; stroke: #818b98 }
  .model { fill: #ddf4ff; stroke: #0969da; stroke-width: 2 } .line { stroke: #0969da; stroke-width: 2; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .paper { fill: #0d1117 } .box { fill: #151b23; stroke: #656c76 }
    .model { fill: #0c2d6b; stroke: #4493f8 } .line { stroke: #4493f8 }
  }
"""


def draw() -> str:
    """The picture: the model on the left, its five levels on the right, what acts below."""
    parts = [
        _box(16, 128, 208, 148, "model"),
        _text(32, 162, "taskflow.toml", "head"),
        *(
            _text(32, 192 + 24 * row, words, "small")
            for row, words in enumerate(
                ("the data model:", "ports, users, health,", "limits, volumes")
            )
        ),
    ]
    for row, (what, session, checks) in enumerate(LEVELS):
        top = 16 + 76 * row
        parts += [
            f'<path class="line" d="M224 202 C 260 202, 250 {top + 30}, 286 {top + 30}"/>',
            _box(286, top, 418, 62, "box"),
            _text(302, top + 26, what, "head"),
            _text(302, top + 50, session, "code"),
            _text(500, top + 50, checks, "small"),
        ]
    top = 16 + 76 * len(LEVELS) + 12
    parts += [
        _box(16, top, 688, 66, "box"),
        _text(32, top + 27, "invoke acts", "head"),
        _text(32, top + 51, "build  up  dev  deploy  tag  release  verify  update", "code"),
    ]
    height = top + 82
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" role="img" aria-labelledby="title">\n'
        '<title id="title">The data model, the five levels held to it, and what acts</title>\n'
        f'<style>{STYLE}</style>\n<rect class="paper" width="720" height="{height}"/>\n'
        + "\n".join(parts) + "\n</svg>\n"
    )  # fmt: skip


def _box(left: int, top: int, width: int, height: int, kind: str) -> str:
    return f'<rect class="{kind}" x="{left}" y="{top}" width="{width}" height="{height}" rx="8"/>'


def _text(left: int, base: int, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{left}" y="{base}">{escape(words)}</text>'
