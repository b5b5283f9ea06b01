"""Facts as plain values: named, compared, changed, traced, filtered. Nothing is stored here."""
