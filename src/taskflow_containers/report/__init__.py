"""Results, and the writers over them."""

REPORTS = "reports"  # the folder that every command writes to


def sbom_file(container: str, platform: str, form: str = "cdx") -> str:
    """What the SBOM of an image is called; that of one of its several platforms says of which."""
    part = f"-{platform.replace('/', '-')}" if platform else ""
    return f"sbom-{container}{part}.{form}.json"
