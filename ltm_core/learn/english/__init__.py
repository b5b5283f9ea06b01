"""Plain English about a person, read without a model.

    tokens -> clauses -> asserted -> negation -> statements (with slots) -> sentence -> message

What can be said stands in two tables: `statements.toml` (how people put things, and which facts that gives) and
`lexicon.toml` (the words that are known). Most improvements are a line in one of them.
"""
