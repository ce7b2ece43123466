"""The tables, and sessions on them."""

import os
from collections.abc import AsyncIterator

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What alembic compares the database with."""


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    article: Mapped[str]


url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
sessions = async_sessionmaker(create_async_engine(url), expire_on_commit=False)


async def session() -> AsyncIterator[AsyncSession]:
    """One for each request."""
    async with sessions() as opened:
        yield opened
