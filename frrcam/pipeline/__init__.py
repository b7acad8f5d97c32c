"""One frame's way through detection, restoration and composition, and the level of work that it can afford."""
