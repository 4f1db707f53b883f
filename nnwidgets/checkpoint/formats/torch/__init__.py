"""Files of `torch.save` and folders of `torch.distributed.checkpoint`; their pickles go through ``formats/pickle``.

Start at `zip_file.TorchZip`.

    torch_file.py     what both formats of `torch.save` have in common: tensors over storages
    zip_file.py       the format since 1.6: a zip file
    zip_directory.py  that zip file's directory, every byte of the file accounted for
    legacy.py         the format before: five pickles, then the storages
    plain_pickle.py   a pickle that is none of these
    distributed.py    a folder of data files, and the pickle that says what is where in them
"""
