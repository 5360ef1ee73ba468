"""Spelling words by the model of the package g2p_en."""
