"""What the running notebook tells; nothing is imported to find out, and no user's object is touched.

Start at `variables.notebook`, the namespace that cells run in.

    ipykernel.py  which cell runs, when one has run, where a comm's messages go
    main_thread.py  what runs a model for a page, and keeps no cell waiting for it
    variables.py  the modules and optimizers among its variables, and their names
    folder.py     its folder: the only files that a page may ask for
"""
