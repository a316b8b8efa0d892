"""Entry of demo, test, check and bundle in scripts: `python _setup.py COMMAND [ARGUMENTS]`.

Any Python 3 can read this file, so that it can name the required version.
"""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036  # said, not assumed
    version = ".".join(str(part) for part in sys.version_info[:3])
    sys.stderr.write("localagent needs Python 3.11 or newer, and this is " + version + ".\n")
    sys.exit(2)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from setuplib.main import main

sys.exit(main(sys.argv[1:]))
