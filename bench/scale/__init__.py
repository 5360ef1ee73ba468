"""Many at once: sliding windows, sets of sequences, pools of streams, threads for one sequence."""
