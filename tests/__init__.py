"""The tests. A package, for IPython 7 has one of this name on the path."""
