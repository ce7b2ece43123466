"""Starts an application that knows nothing of this: settings first, then the web server."""

import os
import signal
import sys
from contextlib import suppress


def main(name: str) -> int:
    """Serve the application `module:attribute` until SIGTERM; answer the process's exit code."""
    # As process 1 of a container Python ignores SIGTERM until somebody handles it: do so from the first moment.
    # An exception could be swallowed by what is being imported just then. The server handles the signal itself while it
    # runs; once it has shut down it raises it again, for the application's handler if there is one: that is no error.
    server = None
    signal.signal(signal.SIGTERM, lambda *_: (server and server.started) or os._exit(128 + signal.SIGTERM))

    from pydantic import ValidationError
    from uvicorn.importer import ImportFromStringError, import_from_string

    from container.health import Health
    from container.logs import AccessLog, hear_again, set_up_logs
    from container.proxy import ForwardedHeaders
    from container.server import Server
    from container.settings import Settings, explain

    try:
        settings = Settings.read(os.environ)
        set_up_logs(settings)  # What is said while the application is imported is logged as all else.
        try:
            app = import_from_string(name)
            with suppress(TypeError):  # As uvicorn does it: a factory is called; an application wants arguments.
                app = app()
        finally:
            hear_again()
    except (ValidationError, ImportFromStringError) as error:
        print(f"backend: {explain(error)}", file=sys.stderr)
        return 78  # EX_CONFIG of sysexits.h

    inner = Health(AccessLog(app), app, settings)
    layers = ForwardedHeaders(inner, settings.forwarded_allow_ips, settings.root_path)
    server = Server(layers, settings)
    with suppress(KeyboardInterrupt):
        server.run()
    return not server.started


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or ["app.main:app"]))
