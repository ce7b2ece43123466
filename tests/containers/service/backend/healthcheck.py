"""Exit code 0 when the URL answers 200."""

import sys
import urllib.request

urllib.request.urlopen(sys.argv[1], timeout=2).read()
