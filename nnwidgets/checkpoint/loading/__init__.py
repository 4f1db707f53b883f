"""Loading: planned from headers, checked whole, then written in place as one change, and compared with the file.

Start at `load.load`. It opens the file (`formats.open_checkpoint`) and then:

- `plan.make_plan` sets names and shapes of the file beside those of the model. A caller's `rename` is applied by
  `apply_renames`; `layouts` knows whose values lie otherwise in the file; for what finds nothing, `suggest_renames`
  tells which name it has, or may have. `plan` stops here. `advice` refuses what doesn't fit, with what would help.
- Sums of whole files are compared, `optimizer_state` fits an optimizer's state to the model, checksums within files are
  compared, and `materialize` gets memory for tensors that have none. So far the model is as it was.
- `edit.transaction.commit` keeps the old bytes, calls `copy_tensors.Transfer` to write the new, compares, and takes all
  back where anything fails. `load_code` tells the same load as Python.

    load.py             the load, step by step
    plan.py             what it would do, tensor by tensor
    plan_warnings.py    what to know of that before it is carried out
    renames/            names of the file that are others in the model, for sure, perhaps, or as the caller says
    layouts/            what the same tensors are called, and how they lie, in files of other libraries
    advice.py           what of a plan is loaded, or why not, and what would help
    copy_tensors.py     bytes from the file into live tensors, by a few threads, and their comparison
    materialize.py      memory for tensors on the meta device and lazy ones
    sharded_tensors.py  tensors that ranks hold together: what of a file goes into the part that is here
    whole_tensors.py    sparse and quantized tensors, and those made of others, which torch copies as a whole
    optimizer_state.py  an optimizer's state, matched and exchanged
    load_code.py        the load as Python that uses torch alone, where torch reads the file without running it
"""
