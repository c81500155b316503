"""``python -m mntscope``."""

import sys

from mntscope.cli import main

sys.exit(main())
