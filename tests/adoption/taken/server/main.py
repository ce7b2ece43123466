import os
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> str:
    place = (Path(os.environ["PLACES"]) / "here.txt").read_text()
    return f"{os.environ.get('GREETING', 'hello')} {os.environ['NOTE']} {place}"
