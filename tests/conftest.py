"""Settings of every test: no C compiler, as the reference is PyTensor's own Python."""

from __future__ import annotations

import os

os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")
