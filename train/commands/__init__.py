"""The commands of `python -m train`, by group: parse, call, print."""
