"""The package's own rows and all their items, made once for the test modules that go through them."""

from __future__ import annotations

from onnx_mapper.conformance.subject import find_subject

SUBJECT = find_subject()
ITEMS = SUBJECT.items()
