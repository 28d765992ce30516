"""Numbers that can be trusted: accuracy with its interval, cost, modelled energy, measured latency, facts of the host."""
