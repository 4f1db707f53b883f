"""The same data as plain text for a terminal and as HTML without script."""
