from fastapi import FastAPI

app = FastAPI()


@app.get("/api/items")
def items() -> list[str]:
    return ["first", "second"]
