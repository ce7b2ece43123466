"""What only the proxies in front know: a trusted one's word about a request, and the path at which they publish."""

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class ForwardedHeaders(ProxyHeadersMiddleware):
    """Reads X-Forwarded-Host besides -Proto and -For: `url_for` would name the address that the proxy uses.

    Below `root_path` the application is asked by browsers, whether the proxy takes that off or not.
    """

    def __init__(self, app: ASGIApp, trusted: str, root_path: str = "") -> None:
        super().__init__(app, trusted)  # type: ignore[arg-type]
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        if scope["type"] != "lifespan" and (scope.get("client") or [None])[0] in self.trusted_hosts:
            given = [value for name, value in scope["headers"] if name == b"x-forwarded-host"]
            # Of a chain of proxies the first one has seen what the client asked for.
            if given and (host := given[0].split(b",")[0].strip()):
                others = [header for header in scope["headers"] if header[0] != b"host"]
                scope = {**scope, "headers": [(b"host", host), *others]}
        if scope["type"] != "lifespan" and (root := self._root_path):
            path = scope["path"]
            inside = path == root or path.startswith(f"{root}/")
            scope = {**scope, "root_path": root, "path": path if inside else root + path}
        await super().__call__(scope, receive, send)  # type: ignore[arg-type]
