"""What tests share: the oracle, random models and problems, variants, comparisons, peers, processes."""
