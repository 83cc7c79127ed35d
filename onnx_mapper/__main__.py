"""`python -m onnx_mapper`."""

import sys

from onnx_mapper.cli import main

sys.exit(main())
