"""Running on engines: what they need, and clusters of one machine for trying and testing."""
