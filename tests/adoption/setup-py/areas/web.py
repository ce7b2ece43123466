from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def area(request: Request) -> JSONResponse:
    return JSONResponse(float(request.query_params["width"]) * float(request.query_params["height"]))


def create_app() -> Starlette:
    return Starlette(routes=[Route("/area", area)])
