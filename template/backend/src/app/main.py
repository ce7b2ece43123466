"""The application: the API, the components it depends on, and the layers in front."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app.components import components
from app.health import Health
from app.logs import AccessLog
from app.routes import router
from app.settings import Settings

settings = Settings()
parts = components()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the components, and close them in reverse."""
    async with AsyncExitStack() as stack:
        for part in parts:
            await stack.enter_async_context(part)
        yield


app = FastAPI(
    title=settings.taskflow_title,
    version=settings.taskflow_version,
    lifespan=lifespan,
    docs_url="/api/docs",
    openapi_url="/api/openapi.json",
    redoc_url=None,
)
app.include_router(router)
for part in parts:
    part.install(app)
app.add_middleware(AccessLog)
app.add_middleware(Health, components=parts, settings=settings)  # The last one added is the first one asked.
