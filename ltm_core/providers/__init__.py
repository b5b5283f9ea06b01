"""Memory providers: the interface that adapters talk to; our memory is one of them."""
