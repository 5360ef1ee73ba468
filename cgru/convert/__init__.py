"""Converters: one small file per foreign system, each from its weights to `cgru.weights.Weights`."""
