"""What a service of data does: sums, a model that is fitted while it starts, and a picture."""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from fastapi import APIRouter, Response
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

mpl.use("agg")
from matplotlib import pyplot as plt

router = APIRouter()
PLAN = pd.read_csv(Path(__file__).parent / "plan.csv", parse_dates=["day"])
iris = load_iris()
kinds = RandomForestClassifier(n_estimators=10, random_state=1).fit(iris.data, iris.target)


@router.get("/sums")
def sums() -> dict[str, float]:
    numbers = pd.DataFrame(np.random.default_rng(1).normal(size=(1000, 3)), columns=list("abc"))
    return {str(name): round(value, 6) for name, value in numbers.sum().items()}


@router.post("/kinds")
def predicted(flowers: list[list[float]]) -> list[str]:
    return [str(iris.target_names[kind]) for kind in kinds.predict(np.array(flowers))]


@router.get("/picture")
def picture() -> Response:
    figure, axes = plt.subplots(figsize=(3, 2), dpi=80)
    axes.plot(PLAN["day"], PLAN["hours"], marker="o")
    axes.set_title("Hours a day")
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    plt.close(figure)
    return Response(written.getvalue(), media_type="image/png")


@router.get("/plan")
def plan() -> dict[str, float]:
    """A file that lies beside the code."""
    by_week = PLAN.set_index("day").resample("W")["hours"].sum()
    return {str(week.date()): float(hours) for week, hours in by_week.items()}
