"""Orders: taken into a database, packed by a worker, watched by Sentry and OpenTelemetry."""

import logging
import os
from typing import Annotated, Any

import sentry_sdk
from app.tables import Order, session
from app.work import app as worker
from app.work import pack
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

router = APIRouter()
logger = logging.getLogger(__name__)
reports: list[str] = []
sentry_sdk.init(
    dsn=os.environ.get("SENTRY_DSN"),
    before_send=lambda event, _: reports.append(event["exception"]["values"][-1]["type"]),
)
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter("http://127.0.0.1:9", timeout=1)))


def watch(app: FastAPI) -> None:
    """Give each request a span."""
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)


class Wish(BaseModel):
    article: str


Session = Annotated[AsyncSession, Depends(session)]


@router.post("/orders", status_code=201)
async def take(wish: Wish, database: Session) -> dict[str, Any]:
    order = Order(article=wish.article)
    database.add(order)
    await database.commit()
    pack.apply_async((order.id,), task_id=str(order.id))
    logger.warning("order %d is taken", order.id)
    return {"id": order.id, "article": order.article}


@router.get("/orders")
async def orders(database: Session) -> list[str]:
    return list(await database.scalars(select(Order.article).order_by(Order.id)))


@router.get("/packed/{order}")
def packed(order: int) -> str:
    """A route that is no coroutine: it waits for the worker in a thread."""
    return worker.AsyncResult(str(order)).get(timeout=20)


@router.get("/traced")
async def traced() -> dict[str, Any]:
    span = trace.get_current_span()
    return {"recording": span.is_recording(), "name": getattr(span, "name", "")}


@router.get("/reported")
def reported() -> None:
    if reports:
        raise HTTPException(418, f"reported before: {reports}")
    try:
        raise LookupError("nothing in stock")
    except LookupError as error:
        sentry_sdk.capture_exception(error)
    raise HTTPException(500, f"reported: {reports}")
