"""The adding problem: how far back do an RNN, a GRU and an LSTM learn to look?"""
