"""Training: a step at the limit, and a whole run, cgru against PyTorch."""
