from pydantic import Field
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    database_url: str
    page_size: int = Field(default=20, alias="NOTES_PAGE_SIZE")


settings = Settings()
