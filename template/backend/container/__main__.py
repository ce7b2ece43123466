"""Starts an application that knows nothing of this: settings first, then the web server."""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module


def reload(name: str, folders: list[str]) -> int:
    """Serve it from a process that is started anew whenever a file in these folders changes: for development."""
    from uvicorn import Config
    from uvicorn.supervisors import ChangeReload

    serve = partial(import_module("container.__main__").main, name)  # The new process finds it by that name.
    ChangeReload(Config(name, log_config=None, reload=True, reload_dirs=folders), serve, []).run()
    return 0


def main(name: str, environment: Mapping[str, str] = os.environ, sockets: object = None) -> int:
    """Serve the application `module:attribute` until SIGTERM; answer the process's exit code."""
    # As process 1 of a container Python ignores SIGTERM until somebody handles it: do so from the first moment.
    # An exception could be swallowed by what is being imported just then. The server handles the signal itself while it
    # runs; once it has shut down it raises it again, for the application's handler if there is one: that is no error.
    server = None
    signal.signal(signal.SIGTERM, lambda *_: (server and server.started) or os._exit(128 + signal.SIGTERM))

    from uvicorn.importer import ImportFromStringError, import_from_string

    from container.health import Health
    from container.logs import AccessLog, hear_again, set_up_logs
    from container.server import ForwardedHeaders, Server
    from container.settings import Settings, SettingsError, explain

    try:
        settings = Settings.read(environment)
        set_up_logs(settings)  # What is said while the application is imported is logged as all else.
        try:
            app = import_from_string(name)
            with suppress(TypeError):  # As uvicorn does it: a factory is called; an application wants arguments.
                app = app()
        finally:
            hear_again()
    except (ImportFromStringError, ValueError) as error:
        # Pydantic's, of the application's settings, is a ValueError as well; any other one is a fault with a traceback.
        invalid = getattr(sys.modules.get("pydantic"), "ValidationError", ())
        if not isinstance(error, (SettingsError, ImportFromStringError, invalid)):
            raise
        print(f"{os.environ.get('TASKFLOW_TITLE') or 'backend'}: {explain(error)}", file=sys.stderr)
        return 78  # EX_CONFIG of sysexits.h

    inner = Health(AccessLog(app), app, settings)
    layers = ForwardedHeaders(inner, settings.forwarded_allow_ips, settings.root_path)
    server = Server(layers, settings)
    with suppress(KeyboardInterrupt):
        server.run()
    return not server.started


if __name__ == "__main__":
    served = sys.argv[1] if sys.argv[1:] else "app.main:app"
    watched = os.environ.get("RELOAD_DIRS", "").split()
    sys.exit(reload(served, watched) if watched else main(served))
