"""What each part of FRR-Net is worth."""
