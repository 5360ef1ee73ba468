"""Instructions of one step and one sequence, counted by callgrind and compared with recorded counts."""
