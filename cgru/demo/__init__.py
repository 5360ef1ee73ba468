"""The main job on real input: a GRU that tells nine speakers apart by their vowels (``cgru demo``)."""
