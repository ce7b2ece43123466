"""An image that no taskflow.toml describes, and the model that it is held to all the same."""

from __future__ import annotations

from taskflow_containers.machine.errors import NoInterpreter
from taskflow_containers.project.model import Container


class Guest(Container):
    """Made from what a person says of an image, what its own configuration says, and defaults.

    Its base and the budget above it are nobody's statement: no check may go by them.
    """

    program: str = ""
    """The interpreter in it, python or node; none where neither runs."""
    health_known: bool = False
    """Whether its health paths are known; else any answer counts that is no failure."""

    @property
    def interpreter(self) -> tuple[str, str]:
        """As a container's.

        Raises:
            NoInterpreter: there is none in the image.
        """
        if not self.program:
            raise NoInterpreter("neither python nor node runs in the image")
        return self.program, "-c" if self.program == "python" else "-e"

    def well(self, status: int) -> bool:
        """As a container's, where its health paths are known."""
        return status == 200 if self.health_known else 0 < status < 500
