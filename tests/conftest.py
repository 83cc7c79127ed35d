"""Settings of every test: no C compiler (the reference is PyTensor's Python), warnings are errors."""

from __future__ import annotations

import os

os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")
