"""The kernel's count of processor time, with another process that works."""

import os
import subprocess
import sys

from localagent.models.llamacpp.hardware import busy_seconds, process_seconds


def test_the_kernel_counts_what_another_process_uses() -> None:
    busy, own = busy_seconds(), process_seconds()
    assert busy is not None
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", burn], check=True, env={**os.environ})
    after = busy_seconds()
    assert after is not None
    assert after - busy >= 0.4
    assert process_seconds() - own < 0.4
