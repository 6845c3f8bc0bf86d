"""Where the time of the messages goes: by line, by function, by route."""
