"""A child of `serving.child.ask`: says what it was given, and fails."""

import os
import sys

from serving.child import begin

if __name__ == "__main__":
    arguments = begin()
    named = [name for name in ("EVERGREEN_TOKEN", "EVERGREEN_TOKEN_FILE", "ANOTHER") if name in os.environ]
    sys.exit(f"{named} {arguments}")
