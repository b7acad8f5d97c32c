"""Faces to train and measure on: collected, packed in shards, aligned, split by key."""
