"""How well frrcam's published pictures match the truth: clean clips, spoiled in known ways, enhanced and scored."""
