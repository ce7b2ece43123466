"""How the application runs in a container; `python -m container app.main:app` serves it as the image does."""
