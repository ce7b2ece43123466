"""The service's own routes."""

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/api")


class Time(BaseModel):
    """A moment."""

    now: datetime


@router.get("/time")
async def time() -> Time:
    """Tell the service's time."""
    return Time(now=datetime.now(UTC))
