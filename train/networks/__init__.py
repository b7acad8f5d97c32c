"""FRR-Net and its parts, the discriminator, the face network, and what they cost."""
