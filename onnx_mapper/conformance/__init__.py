"""Conformance: rows are tested by the cases that they carry, and cases by lies about the rows."""
