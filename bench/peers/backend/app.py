"""A health route and nothing else."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/api/health")
@app.get("/api/health/live")
def health() -> dict[str, str]:
    """Answer at once."""
    return {"status": "pass"}
