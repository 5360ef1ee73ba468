"""Speed of steps and sequences: cgru, its peers, C, and the limit of the machine."""
