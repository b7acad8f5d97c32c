"""The page with the live picture, its server, and how other commands find a running daemon."""
