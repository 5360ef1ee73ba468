"""One training step: cgru against PyTorch."""
