"""Anyone's GRU or LSTM in C, held against the published cases and the limit of the machine."""
