"""One request, one reply: schema, codec and dispatch. Standard library only.

Start at `schema.KINDS`, then at `dispatch.Dispatcher`: `nnwidgets.server` and the Explorer give it messages as they
come, and handlers.

    schema/        every message and body, typed; the page's types are generated from it
    dispatch.py    requests in, exactly one reply each out; cancelling, progress, order
    validation.py  whether a body is what the schema says
    codec.py       Python values to JSON and buffers, and back
    errors.py      any error as an error reply
    threads.py     the few threads of long work
"""
