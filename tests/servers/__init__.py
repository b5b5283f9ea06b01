"""Real database servers for the tests: from pip and apt packages, in temporary folders, ended with their owner."""
