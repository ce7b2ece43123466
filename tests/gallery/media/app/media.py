"""What a service of media does: draw, take uploads, keep files, and talk for longer than one answer."""

import asyncio
import getpass
import io
import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Form,
    HTTPException,
    Query,
    Response,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import FileResponse, StreamingResponse
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

router = APIRouter()
logger = logging.getLogger(__name__)
logger.warning("thumbnails are drawn by %s", "pillow")


@router.get("/thumbnail")
def thumbnail(side: Annotated[int, Query(gt=0, le=500)]) -> Response:
    picture = Image.new("RGB", (side * 4, side * 4), "navy")
    ImageDraw.Draw(picture).text((8, 8), "Hi", font=ImageFont.load_default(24), fill="white")
    written = io.BytesIO()
    picture.resize((side, side)).save(written, "webp", quality=70)
    return Response(written.getvalue(), media_type="image/webp", headers={"X-Drawn-By": "pillow"})


def keep(data: bytes, side: int) -> None:
    """What is done after the answer has left."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(data)
        file.flush()
        size = Path(file.name).stat().st_size
    logger.warning("a picture of %d pixels was kept", side) if size == len(data) else None


@router.post("/pictures", status_code=201)
async def pictures(
    picture: UploadFile, title: Annotated[str, Form()], later: BackgroundTasks
) -> dict[str, str | int]:
    data = await picture.read()
    try:
        width = Image.open(io.BytesIO(data)).width
    except UnidentifiedImageError:
        raise HTTPException(400, f"{title}: {len(data)} bytes") from None
    later.add_task(keep, data, width)
    return {"title": title, "width": width, "type": picture.content_type or ""}


@router.get("/events")
async def events() -> StreamingResponse:
    async def tell() -> AsyncIterator[str]:
        for number in range(3):
            yield f"id: {number}\ndata: tick {number}\n\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(
        tell(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


@router.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(f"{await socket.receive_text()}!")
    except WebSocketDisconnect:
        pass


@router.get("/plain/{name}")
def plain(name: str) -> FileResponse:
    """A file that lies beside the code."""
    return FileResponse(Path(__file__).parent / "files" / Path(name).name)


@router.get("/owner")
def owner() -> bool:
    """Whether whoever runs this has a name, as packages that keep folders by user want it."""
    return bool(getpass.getuser())


@router.get("/fails", include_in_schema=False)
async def fails() -> None:
    raise RuntimeError("as planned")
