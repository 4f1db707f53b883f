"""One request, one reply: schema, codec and dispatch. Standard library only."""
