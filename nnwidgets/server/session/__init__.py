"""One view of one live model, held no longer than the user wants it.

Start at `session.Session`: each Explorer has one, and `NamedSessions` has one for each model that other channels name.

    session.py      the model's tree, findings and trace as last read, and how stale they are
    ranked_session.py  the same of a model over ranks, which are asked for values
    model_ref.py    a reference to the user's object: weak, or strong until it is released
    live_tensor.py  the tensor that a request names, found once
    optimizer_places.py  what optimizers have of one parameter
    by_name.py      sessions by the name of a variable
    open_views.py   which Explorers are open
    file_cache.py   what was last read of files
    stats_cache.py  exact statistics that hold until something may have changed
"""
