"""Where tensors will be written: changes as transactions. Nothing here yet reads or writes a model."""
