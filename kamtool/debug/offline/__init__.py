"""A whole server without sockets, on a clock that stands still until told to go: for tests and replays."""
