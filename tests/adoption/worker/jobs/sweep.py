"""Ends what nobody took in time."""

import argparse
import datetime

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--older-than", type=int, default=3600, metavar="SECONDS")
    limit = datetime.timedelta(seconds=parser.parse_args().older_than)
    print(f"swept what is older than {limit}", flush=True)
