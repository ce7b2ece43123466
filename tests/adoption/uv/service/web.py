import json
from pathlib import Path

from fastapi import FastAPI

api = FastAPI()
NAMES = json.loads((Path(__file__).parent.parent / "data" / "names.json").read_text())


@api.get("/quotes/{symbol}")
def quote(symbol: str) -> dict[str, str | None]:
    return {"symbol": symbol, "name": NAMES.get(symbol)}


@api.get("/healthz")
def healthz() -> str:
    return "ok"
