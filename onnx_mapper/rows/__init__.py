"""What mapping files say, and how it fits the installed ops."""
