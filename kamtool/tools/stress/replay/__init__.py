"""A capture sent again: `capture` reads what there is to send, `rewrite` makes it fit, `play` sends it."""
