"""Saving a model that ranks hold together: each writes its part, and all of it gets its name in one step, or none.

Start at `save_together.save_together`. Nothing waits in a collective: ranks meet on the process group's store, say
there how far they are, and the first of them gives the files their names when all have written and read back theirs.

    save_together.py       the save, on every rank: together, or by one where each has all of it
    steps.py               what ranks say to each other on the way, and how one that falls silent is noticed
    report_json.py         the report, as ranks tell it to each other
    turn.py                a rank's part: what it was asked for, and files that another rank has begun
    shares.py              which part of each tensor a rank has, and which of the ranks that have it writes it
    save_folder.py         the save into a folder as torch.distributed.checkpoint has them
    distributed_folder.py  the files of such a folder
    save_slices.py         the save into safetensors files, by slices from all ranks
    runs.py                a part of a tensor where the whole lies in a file
"""
