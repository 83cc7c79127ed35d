"""`python -m onnx_mapper`."""

import sys

from onnx_mapper.cli.main import main

sys.exit(main())
