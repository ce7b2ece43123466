import nox


@nox.session
def lint(session: nox.Session) -> None:
    """Their own."""
    session.log("their own lint")
