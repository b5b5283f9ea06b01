"""Texts as the memory knows them: words, days, small talk, and the fence around what is remembered in a prompt."""
