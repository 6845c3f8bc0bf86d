"""`kamtool trace` in a terminal: calls in a list, one as a ladder, a message, two side by side."""
