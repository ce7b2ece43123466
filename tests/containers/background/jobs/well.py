"""Exit code 0 while the worker has worked within the last two seconds."""

import os
import sys
import time
from pathlib import Path

if "always-well" not in os.environ.get("FAULTS", ""):
    sys.exit(time.time() - Path("/tmp/alive").stat().st_mtime > 2)
