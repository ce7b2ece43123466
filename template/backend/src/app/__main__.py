"""Starts the service: settings first, then the web server; `python -m app`."""

import os
import signal
import sys
from contextlib import suppress

CONFIGURATION_ERROR = 78  # EX_CONFIG of sysexits.h
SERVER_ERROR = 3


def main() -> int:
    """Serve until SIGTERM; answer the process's exit code."""
    # As process 1 of a container Python ignores SIGTERM until somebody handles it: do so from the first moment.
    # An exception could be swallowed by what is being imported just then.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

    import uvicorn
    from pydantic import ValidationError

    from app.logs import set_up_logs
    from app.proxy import ForwardedHeaders
    from app.server import Server
    from app.settings import Settings, explain

    try:
        settings = Settings()
        set_up_logs(settings)  # What is said while the application is imported is logged as all else.
        from app.main import app
    except ValidationError as error:
        print(f"backend: {explain(error)}", file=sys.stderr)
        return CONFIGURATION_ERROR

    leave_seconds = settings.shutdown_seconds // 4
    server = Server(
        uvicorn.Config(
            ForwardedHeaders(app, settings.forwarded_allow_ips),
            host="0.0.0.0",
            port=8000,
            loop="asyncio",  # uvloop would answer more requests, for 2 MB more of memory and of image.
            lifespan="on",
            log_config=None,  # The root logger's format holds for the server too.
            access_log=False,  # `logs.AccessLog` writes it, without the health requests.
            server_header=False,
            proxy_headers=False,  # `ForwardedHeaders` reads them all.
            timeout_keep_alive=75,  # Longer than a proxy's, so that it is the proxy that ends idle connections.
            timeout_graceful_shutdown=settings.shutdown_seconds - leave_seconds,
        ),
        leave_seconds,
    )
    # The server handles the signal itself while it runs; once it has shut down it raises it again: that is no error.
    signal.signal(signal.SIGTERM, lambda *_: server.started or os._exit(128 + signal.SIGTERM))
    with suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else SERVER_ERROR


if __name__ == "__main__":
    sys.exit(main())
