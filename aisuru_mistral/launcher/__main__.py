"""The command behind `make up` and `make demo`."""

import argparse
import os
import sys

from aisuru_mistral.launcher import service


def main() -> int:
    """Read the arguments and run the service; return its exit code."""
    parser = argparse.ArgumentParser(prog="aisuru_mistral.launcher", description=__doc__)
    parser.add_argument("mode", choices=("up", "demo"))
    parser.add_argument(
        "--follow-parent",
        action="store_true",
        help="stop when the starting process is gone (make, killed)",
    )
    arguments = parser.parse_args()
    parent = os.getppid() if arguments.follow_parent else None
    return service.main(arguments.mode, parent=parent)


if __name__ == "__main__":
    sys.exit(main())
