"""A small amplifier model: trained by cgru alone, run at 48 kHz beside PyTorch, ONNX Runtime and NumPy."""
