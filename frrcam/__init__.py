"""frrcam: a virtual camera that restores and relights faces, live."""
