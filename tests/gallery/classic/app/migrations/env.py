"""How alembic reaches the database."""

from alembic import context
from app.tables import Base, url
from sqlalchemy import create_engine

with create_engine(url).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
