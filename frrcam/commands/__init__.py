"""The commands by group, each module one: parse, call, print. `cli` puts them together."""
