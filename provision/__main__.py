"""The command line: words on stderr, the one line that other programs read on stdout."""

from __future__ import annotations

import argparse
import sys

from . import SUBSTITUTES, WANTED, Trouble, provision


def main() -> int:
    """Provision, and turn every outcome into an exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m provision",
        description="Have a container engine and the base images, or stand-ins for them.",
    )
    parser.add_argument("--engine", choices=["docker", "podman"], default="")
    parser.add_argument("--image", action="append", metavar="REF", help=f"default: {WANTED}")
    args = parser.parse_args()
    try:
        variables = provision(args.engine, args.image or WANTED)
    except (Trouble, OSError) as trouble:
        print(f"provision: {trouble}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("provision: interrupted", file=sys.stderr)
        return 130
    print(f"{SUBSTITUTES}={variables[SUBSTITUTES]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
