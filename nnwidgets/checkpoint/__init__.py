"""Where files will be read and written: checkpoints as plans. Nothing here yet touches a file."""
