"""The steps of maintenance: one strategy to a module, none of which knows another."""
