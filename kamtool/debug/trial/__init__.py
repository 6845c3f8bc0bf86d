"""Unit tests of a routing script: messages in, and what must come of them."""
