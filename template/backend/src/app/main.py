"""Puts the service together: the API, the components it depends on, and the layers in front."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from app.components import components
from app.health import Health
from app.logs import AccessLog
from app.routes import router
from app.settings import Settings


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Build the application; for development `uvicorn --factory app.main:create_app --reload` does."""
    settings = settings or Settings()
    parts = components()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in parts:
                await stack.enter_async_context(part)
            health.read()  # The first probe finds an answer on its way.
            yield

    api = FastAPI(
        title=settings.taskflow_title,
        version=settings.taskflow_version,
        lifespan=lifespan,
        docs_url="/api/docs",
        openapi_url="/api/openapi.json",
        redoc_url=None,
    )
    api.include_router(router)
    for part in parts:
        part.install(api)
    health = Health(AccessLog(api), parts, settings)
    return health
