"""Which applications a run compares, and the figures it prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.engine.client import Engine, substitutes
from tests.conftest import ROOT, Render
from tests.gallery import application, figures
from tests.gallery.application import Application
from tests.gallery.pair import Pair, paired

PAGE = ROOT / "docs" / "gallery.md"
_OPTION = "gallery"
_measured = pytest.StashKey[dict[str, figures.Figures]]()
_engine = pytest.StashKey[Engine]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare how the whole gallery is asked for; without it two applications are compared."""
    parser.addoption(
        f"--{_OPTION}", action="append", metavar="NAME",
        help='compare, smoke-test and measure this application ("all" are all); writes docs/gallery.md',
    )  # fmt: skip


def asked(config: pytest.Config) -> list[str]:
    """The names that were asked for; none in an ordinary run of the tests.

    Raises:
        UsageError: there is no application of that name.
    """
    given = list(config.getoption(_OPTION, default=None) or [])
    known = application.names()
    if unknown := sorted({*given} - {*known, "all"}):
        raise pytest.UsageError(f"no application is called {unknown[0]}: {', '.join(known)}")
    return known if "all" in given else given


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One set of tests for each application, and one test for each of its faults."""
    if "pair" not in metafunc.fixturenames:
        return
    names = asked(metafunc.config)
    chosen = [application.load(name) for name in names or application.names()]
    if not names:
        chosen = [one for one in chosen if one.ci]
    if "imports" in metafunc.fixturenames:
        chosen = [one for one in chosen if one.imports]
    with_faults = "refused" in metafunc.fixturenames
    cases = [
        pytest.param(
            one,
            *([fault] if fault else []),
            id=f"{one.name}-{fault.what}" if fault else one.name,
            marks=[
                pytest.mark.xdist_group(f"gallery-{one.name}"),
                *([] if names else [pytest.mark.thorough]),
            ],
        )
        for one in chosen
        # Each is two builds: an ordinary run has the time for one.
        for fault in ((one.refused if names else one.refused[:1]) if with_faults else (None,))
    ]
    names_of_them = ["pair", "refused"] if with_faults else ["pair"]
    metafunc.parametrize(names_of_them, cases, indirect=["pair"], scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One application after the other: pytest would mix those whose faults have the same number.

    What an ordinary run of the tests has no time for is left out.
    """

    def group(item: pytest.Item) -> str:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        pair = parameters.get("pair")
        return pair.name if isinstance(pair, Application) else ""

    items.sort(key=group)
    if not asked(config):
        items[:] = [item for item in items if "thorough" not in getattr(item, "fixturenames", ())]


@pytest.fixture(scope="session")
def pair(
    request: pytest.FixtureRequest,
    render: Render,
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    """An application in both images, running."""
    one: Application = request.param
    request.config.stash[_engine] = engine
    with paired(one, rendered(one, render, tmp_path_factory.mktemp(one.name)), engine) as made:
        yield made


def rendered(one: Application, render: Render, folder: Path) -> Path:
    """A project with the one container that it needs."""
    answers: dict[str, object] = {
        "containers": one.kind,
        "slug": f"gallery-{one.name}",
        "ci": "none",
    }
    if one.kind == "backend":
        answers["database"] = one.database
    return render(folder / "project", **answers)


@pytest.fixture
def imports() -> None:
    """Asked for by a test of what is imported: a frontend's packages are in its bundles."""


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> dict[str, figures.Figures]:
    """Where figures go; a test that asks for it is one that only `nox -s gallery` has the time for."""
    return request.config.stash.setdefault(_measured, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the figures, and write them to the page."""
    rows = config.stash.get(_measured, None)
    if not rows:
        return
    lines = {name: figures.row(name, measured) for name, measured in rows.items()}
    terminalreporter.section("figures: ours / the reference's = ratio")
    for line in (*figures.HEAD, *lines.values()):
        terminalreporter.line(line)
    instead = substitutes()
    engine = config.stash[_engine]
    notes = [f"{engine.name} {engine.version} for {engine.platform}, built by {engine.builder}"]
    notes += [f"{wanted} is replaced by {other}" for wanted, other in instead.items()]
    # An application that was not measured now keeps its line.
    figures.write(PAGE, figures.kept(PAGE) | lines, notes)
    terminalreporter.line(f"written to {PAGE.relative_to(ROOT)}")
