from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from notes.config import settings
from notes.models import Note

engine = create_async_engine(settings.database_url, pool_pre_ping=True)
session = async_sessionmaker(engine)
app = FastAPI(title="Notes")


@app.get("/notes")
async def notes() -> list[str]:
    async with session() as open_session:
        return list(await open_session.scalars(select(Note.text).limit(settings.page_size)))
