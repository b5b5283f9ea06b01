"""What proves a store, and fakes for tests: shipped, so that you can use them too."""
