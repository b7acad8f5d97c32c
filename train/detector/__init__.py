"""The face detector: an SCRFD-layout network trained on composites, loaded by insightface as its own."""
