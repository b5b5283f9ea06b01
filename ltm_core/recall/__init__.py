"""The steps of recalling: gather, rank, budget, render. They do not know each other."""
