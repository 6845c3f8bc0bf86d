"""The story of a call in plain words: what became of each request, which line decided it, by which value."""
