"""The steps of learning: extract, reconcile, commit. They do not know each other."""
