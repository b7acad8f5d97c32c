"""What a machine lacks, and how it gets it: `frrcam setup`, `frrcam service`, `frrcam doctor`."""
