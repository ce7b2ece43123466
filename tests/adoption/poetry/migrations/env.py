import asyncio

from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

from notes.config import settings
from notes.models import Base


def run(connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    engine = create_async_engine(settings.database_url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


asyncio.run(main())
