"""The memories of one scope, held in memory so that a recall need not read them again."""
