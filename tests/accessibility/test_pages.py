"""Every page that people read is free of axe's findings and fits a phone, in a real Chromium."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from docs import screenshots, site
from provision.system import Trouble, apt_install
from taskflow_containers.cluster import helm
from taskflow_containers.report import history, index, reporting
from taskflow_containers.report.result import Report, judge, skip
from taskflow_containers.smoke import page
from taskflow_containers.smoke.timeline import Mark, Series, Timeline
from tests.conftest import further

SCHEMES = {
    "light": [],
    "dark": ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"],
}  # fmt: skip
NARROW, WIDE = 400, 1400  # CSS pixels
# Each page is asked in a frame of that width: the browser widens a window that is so narrow.
HARNESS = """<!doctype html><html lang="en"><title>pages</title>
<style>:root{color-scheme:light dark}</style><pre id="said"></pre><script>
const said = [];
async function ask(name, width, axe) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:900px;border:0`;
  const loaded = new Promise(done => frame.onload = done);
  frame.src = FOLDER + name;
  document.body.append(frame);
  await loaded;
  const {contentWindow: inner, contentDocument: page} = frame, root = page.documentElement;
  for (const one of page.querySelectorAll("details")) one.open = true;
  const beyond = root.scrollWidth - root.clientWidth;
  if (beyond > 0) said.push(`${name} at ${width}: ${beyond} px beyond its edge`);
  inner.eval(axe);
  const {violations, passes} = await inner.axe.run(page, {resultTypes: ["violations"]});
  for (const {id, nodes} of violations)
    for (const node of nodes) said.push(`${name} at ${width}: ${id}: ${node.html.slice(0, 200)}`);
  if (!passes.length) said.push(`${name} at ${width}: axe judged nothing`);
  frame.remove();
}
(async () => {
  for (const name of PAGES) await ask(name, WIDTH, AXE).catch(error => said.push(`${name}: ${error}`));
  document.getElementById("said").textContent = JSON.stringify(said);
})();
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    """The program, installed where that is allowed; without one these tests are left out."""
    if screenshots.browser() is None and os.environ.get("TASKFLOW_PROVISION"):
        with suppress(Trouble):
            apt_install(["chromium"], "the pages in a browser")
    names = ", ".join(screenshots.BROWSERS)
    return screenshots.browser() or pytest.skip(f"needs a browser: {names} (apt install chromium)")


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script that judges a page."""
    folder = tmp_path_factory.mktemp("axe")
    helm.fetch(Path(__file__).with_name("requirements-axe.txt"), folder)
    return next(folder.rglob("axe.min.js")).read_text("utf-8")


def findings(
    browser: str, axe: str, folder: Path, width: int, scheme: str, every: int = 1
) -> list[str]:
    """What axe finds on each, or each so many, page below a folder, and which are wider than the window."""
    pages = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.html") if path.stem != "404"
    )
    assert pages
    pages = pages[::every]
    values = {"PAGES": pages, "WIDTH": width, "AXE": axe, "FOLDER": f"{folder.name}/"}
    text = re.sub("|".join(values), lambda name: _script(values[name[0]]), HARNESS)
    harness = folder.parent / f"{folder.name}-{width}-{scheme}.html"
    harness.write_text(text, "utf-8")
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--virtual-time-budget=600000", *SCHEMES[scheme], "--dump-dom", harness.as_uri()],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    said = re.search(r'<pre id="said">(.+?)</pre>', done.stdout, re.DOTALL)
    assert said, done.stdout[:300] + done.stderr[-1000:]
    found: list[str] = json.loads(html.unescape(said[1]))
    return found


def _script(value: object) -> str:
    """A value as it may stand within a script of a page."""
    return json.dumps(value).replace("</", r"<\/").replace("<!--", r"<\!--")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a project's reports, with each kind of verdict, and a history."""
    folder = tmp_path_factory.mktemp("project") / "reports"
    results = [
        judge("smoke.stop", "stops on SIGTERM", False, container="backend", group="stop",
              expected="exit code 0", measured="137", fix="handle it"),
        judge("smoke.start", "start", True, container="backend", group="health", figure=0.4),
        judge("smoke.memory", "memory", True, container="backend", group="load", figure=5e7),
        skip("smoke.neon", "a sleeping database", "no container needs one"),
    ]  # fmt: skip
    timeline = Timeline()
    timeline.seconds = 20.0
    series = Series("backend", "", 10**8)
    series.memory = [(second, 10**7 * (2 + second % 3)) for second in range(20)]
    series.latency = [(second, None if second == 7 else 0.01) for second in range(20)]
    series.marks = [Mark("the database is stopped", 6.0, 8.0)]
    timeline.series["backend"] = series
    for command in ("build", "smoke"):
        report = Report(command, results=results, notes=["engine: docker"], commit="a" * 40)
        report.images = {"shop-backend:dev": "sha256:" + "0123456789abcdef" * 4}
        if command == "smoke":
            report.pages["smoke.html"] = lambda closed: page.render(closed, timeline, whole=True)
        report.close()
        reporting.write(report, folder)
        history.append(folder, report)
    (folder / index.FILE).write_text(index.page(folder), "utf-8")
    return folder


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_the_reports(browser: str, axe: str, reports: Path, width: int, scheme: str) -> None:
    assert findings(browser, axe, reports, width, scheme) == []


@pytest.mark.parametrize(
    ("width", "scheme", "every"),
    [
        (NARROW, "light", 5),
        further(NARROW, "light", 1),
        further(WIDE, "dark", 1),
    ],
)
def test_the_documentation(
    browser: str, axe: str, tmp_path: Path, width: int, scheme: str, every: int
) -> None:
    """Each width once and each scheme once: a colour does not hang on a width. An ordinary run asks each fifth page."""
    assert site.build(tmp_path / "site") == ""
    assert findings(browser, axe, tmp_path / "site", width, scheme, every) == []


def test_what_is_wrong_is_found(browser: str, axe: str, tmp_path: Path) -> None:
    style = (
        "@media(prefers-color-scheme:dark){h1{color:#333;background:#222}}p{width:500px;color:#aaa}"
    )
    page = f"<title>bad</title><style>{style}</style><main><h1>title</h1><p>pale</p><img src='x.png'></main>"
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.html").write_text(f"<!doctype html><html>{page}", "utf-8")
    light, dark = (" ".join(findings(browser, axe, tmp_path / "bad", NARROW, s)) for s in SCHEMES)
    for rule in ("beyond its edge", "color-contrast: <p>", "image-alt", "html-has-lang"):
        assert rule in light
    assert "color-contrast: <h1>" in dark
