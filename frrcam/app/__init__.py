"""The runs of the application: `frrcam start` and `frrcam bench`."""
