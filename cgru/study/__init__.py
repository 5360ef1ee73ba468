"""Looking into a model: its gates, its Jacobian, how far a gradient reaches, and whether its outputs are right."""
