from setuptools import find_packages, setup

setup(
    name="areas",
    version="2.0.0",
    packages=find_packages(),
    python_requires=">=3.11",
    install_requires=["starlette>=0.47", "uvicorn>=0.35"],
)
