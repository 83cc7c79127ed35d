"""The package's version, which every exported model records."""

VERSION = "0.1.0"
