"""Building: what came out is judged, failures name the step, and nothing is rebuilt for nothing."""

from __future__ import annotations

import uuid

import pytest

from taskflow_containers.checks import build
from taskflow_containers.contract.container import LABEL_PREFIX
from taskflow_containers.engine.client import Builder, Engine
from taskflow_containers.machine.errors import EnvironmentTrouble, ExitCode
from taskflow_containers.workspace import Workspace
from tests.conftest import git, lacking
from tests.containers.conftest import Service, failed, replace

pytestmark = pytest.mark.engine


def docker(service: Service) -> Engine:
    """The engine, where it has a legacy builder."""
    if service.engine.name != "docker":
        lacking("only Docker has a legacy builder")
    return service.engine


@pytest.mark.each_engine
def test_an_image_in_order_passes(service: Service) -> None:
    image = service.build()
    assert failed(image.results) == set()
    assert image.id.startswith("sha256:")


def test_the_same_sources_give_the_same_image(service: Service) -> None:
    first = service.build()
    second = service.build()
    assert second.id == first.id
    steps = second.results[0].measured.rsplit(", ", 1)[1].split()
    assert steps[0] == steps[2], second.results[0].measured


def test_an_image_over_its_budget_fails(service: Service) -> None:
    replace("Dockerfile", "RUN chown", "RUN head -c 2000000 /dev/urandom > /app/x && chown")(
        service.folder
    )
    image = service.build()
    assert failed(image.results) == {"build.size"}


def test_a_failing_step_is_named_with_its_output(service: Service) -> None:
    replace("Dockerfile", "RUN mkdir data", "RUN echo out of luck && exit 7")(service.folder)
    image = service.build()
    assert not image.usable
    (result,) = image.results
    assert result.id == "build.image"
    assert "exit 7" in result.measured
    assert "out of luck" in result.detail


@pytest.mark.parametrize(
    ("instruction", "ignored", "named"),
    [
        ("COPY no/such.txt /x", "", "such.txt"),
        ("ADD --chmod=444 nosuch.tar.gz /x", "", "nosuch.tar.gz"),
        ("COPY ../taskflow.toml /x", "", "taskflow.toml"),
        ("COPY App.py /x", "", "App.py"),
        ("RUN --mount=type=bind,source=nosuch,target=/b true", "", "nosuch"),
        ("COPY app.py /x", "app.py", "app.py"),
        ("RUN <<EOF-1\ntrue\nEOF", "", "unterminated heredoc"),
    ],
)
def test_a_source_that_the_build_does_not_get_is_named(
    service: Service, instruction: str, ignored: str, named: str
) -> None:
    """It is not there, or .dockerignore keeps it out."""
    replace("Dockerfile", "USER 1001:1001", f"{instruction}\nUSER 1001:1001")(service.folder)
    (service.sources / ".dockerignore").write_text(f"{ignored}\n", encoding="utf-8")
    image = service.build()
    assert failed(image.results) == {"build.image"}
    assert named in image.results[0].measured + image.results[0].detail


def test_a_steps_own_words_are_not_the_engines(service: Service) -> None:
    """A port that is taken within a step is no port of this machine; a disk that is full is."""
    words = "Error: address already in use"
    replace("Dockerfile", "RUN mkdir data", f"RUN echo {words} && exit 7")(service.folder)
    image = service.build()
    assert failed(image.results) == {"build.image"}
    assert words in image.results[0].detail
    replace("Dockerfile", "address already in use", "no space left on device")(service.folder)
    with pytest.raises(EnvironmentTrouble, match="the disk is full"):
        service.build()


def test_the_legacy_builders_words_are_told_from_a_steps(service: Service) -> None:
    engine = docker(service)
    words = f"address already in use by {uuid.uuid4()}"
    replace("Dockerfile", "RUN mkdir data", f"RUN echo {words} && exit 7")(service.folder)
    service.engine = Engine("docker", engine.client, engine.version, Builder.LEGACY)
    image = service.build()
    assert failed(image.results) == {"build.image"}
    assert words in image.results[0].detail
    left = engine.call("ps", "--all", "--no-trunc", "--format={{.Command}}").stdout
    assert words not in left, "the failed step's container is left"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("USER 1001:1001", "USER 0:0", "contract.image.user"),
        ("EXPOSE 8000", "EXPOSE 8000 9000", "contract.image.port"),
        ('CMD ["python", "-u", "/app/app.py"]', "CMD python /app/app.py", "contract.image.command"),
        (
            "HEALTHCHECK --interval=30s --timeout=3s",
            "HEALTHCHECK NONE\n#",
            "contract.image.healthcheck",
        ),
        ("PYTHONPATH=/app/src", "PYTHONPATH=/srv", "contract.image.environment"),
        ('image.version="${VERSION}"', 'image.version=""', "contract.image.labels"),
        ("USER 1001", "VOLUME /app/data\nUSER 1001", "contract.image.volumes"),
    ],
)
def test_a_config_that_breaks_the_contract_fails(
    service: Service, old: str, new: str, expected: str
) -> None:
    replace("Dockerfile", old, new)(service.folder)
    assert failed(service.build().results) == {expected}


def test_a_variable_meant_for_run_time_must_not_be_baked_in(service: Service) -> None:
    replace("taskflow.toml", '["LOG_LEVEL"]', '["LOG_LEVEL", "MODEL"]')(service.folder)
    replace("Dockerfile", "ENV PYTHONPATH", "ENV MODEL=small PYTHONPATH")(service.folder)
    assert failed(service.build().results) == {"contract.image.run-time-environment"}


def test_a_missing_dockerfile_is_a_failed_check(service: Service) -> None:
    (service.sources / "Dockerfile").unlink()
    image = service.build()
    assert not image.usable
    assert image.results[0].measured == "no such file"


def test_a_base_that_cannot_be_had_says_so(service: Service) -> None:
    for file in ("Dockerfile", "taskflow.toml"):
        replace(file, "python:3.13-slim", "localhost:1/nowhere:1")(service.folder)
    with pytest.raises(EnvironmentTrouble) as caught:
        service.build()
    assert "localhost:1" in caught.value.message
    assert "TASKFLOW_SUBSTITUTE_IMAGES" in caught.value.hint
    assert caught.value.exit_code is ExitCode.ENVIRONMENT


def test_lint_knows_whether_the_image_is_of_these_sources(service: Service) -> None:
    project = service.project
    assert (
        build.current_image(Workspace(service.folder, project, service.engine), "backend")[0] == ""
    )
    image = service.build()
    found, _ = build.current_image(Workspace(service.folder, project, service.engine), "backend")
    assert found == image.id
    replace("app.py", "One answer.", "One whole answer.")(service.folder)
    assert (
        build.current_image(Workspace(service.folder, project, service.engine), "backend")[0] == ""
    )


def test_the_labels_carry_version_and_revision(service: Service) -> None:
    """Also those of a second commit, whose image comes from the cache in all but its labels."""
    git(service.folder, "init", "--quiet")
    for number in range(2):
        (service.sources / "notes.txt").write_text(str(number))
        git(service.folder, "add", ".")
        git(service.folder, "commit", "--quiet", "--message", "x")
        head = git(service.folder, "rev-parse", "HEAD").strip()
        image = service.build()
        assert f"{service.project.image('backend')}:sha-{head[:12]}" in image.tags
        labels = (service.engine.image_config(image.id) or {})["Labels"]
        assert labels[LABEL_PREFIX + "version"] == "1.2.3"
        assert labels[LABEL_PREFIX + "revision"] == head


def test_the_legacy_builder_works_without_cache_mounts(service: Service) -> None:
    engine = docker(service)
    replace("Dockerfile", "RUN mkdir", "RUN --mount=type=cache,target=/root/.cache \\\n    mkdir")(
        service.folder
    )
    service.engine = Engine("docker", engine.client, engine.version, Builder.LEGACY)
    assert "without cache mounts" in service.engine.description
    image = service.build()
    assert image.usable, image.results
    assert failed(image.results) == set()


def test_two_containers_of_one_folder(service: Service) -> None:
    """Each build of the project's top folder sees what the ignore file beside its Dockerfile lets in."""
    text = (service.sources / "Dockerfile").read_text("utf-8")
    text = text.replace("COPY app.py healthcheck.py", "COPY backend/app.py backend/healthcheck.py")
    model = service.folder / "taskflow.toml"
    head, rest = model.read_text("utf-8").split("[containers.backend]")
    entry, rest = rest.split("[services.")
    (service.folder / "more").write_text("x")
    tables = ""
    for name, ignored, seen in (
        ("backend", "*\n!backend/app.py\n!backend/healthcheck.py\n", "backend"),
        ("second", "**/*Dockerfile*\n*.toml\nbackend/.*\n", "backend more"),
    ):
        looks = f'COPY . /seen\nRUN test "$(echo $(ls /seen))" = "{seen}"\nRUN mkdir data'
        dockerfile = service.folder / f"{name}.Dockerfile"
        dockerfile.write_text(text.replace("RUN mkdir data", looks), "utf-8")
        dockerfile.with_name(f"{dockerfile.name}.dockerignore").write_text(ignored, "utf-8")
        places = f'context = "."\ndockerfile = "{dockerfile.name}"'
        tables += f"[containers.{name}]\n{places}{entry}"
    model.write_text(f"{head}{tables}[services.{rest}", "utf-8")
    (service.folder / ".dockerignore").write_text("**\n")
    workspace = service.workspace
    images = build.build(workspace, ["backend", "second"])
    try:
        assert [failed(image.results) for image in images] == [set(), set()], images
        # What every check writes makes no image an older one, though it would be let in here.
        (service.folder / "reports").mkdir()
        (service.folder / "reports" / "build.json").write_text("{}")
        for image in images:
            assert build.current_image(workspace, image.container) == (image.id, "")
    finally:
        workspace.engine.call(
            "image", "rm", "--force", "--no-prune", images[1].tags[0], check=False
        )
