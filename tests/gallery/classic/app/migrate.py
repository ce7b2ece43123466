"""Brings the database up to date: `python -m app.migrate`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from app.tables import url
from sqlalchemy import create_engine, text

if __name__ == "__main__":
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    command.upgrade(config, "head")
    with create_engine(url).connect() as connection:
        print("orders:", connection.scalar(text("SELECT version_num FROM alembic_version")))
