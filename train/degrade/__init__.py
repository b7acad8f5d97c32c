"""What a webcam does to a face, as seeded operations on tensors."""
