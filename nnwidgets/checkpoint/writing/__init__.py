"""Bytes on the disk: a file is there whole or not at all, whatever happens meanwhile.

Start at `tensors_to_save.contents_of`, which makes an object plain. `saving.layout` hands the result to one of the two
file formats, whose ``layout`` says how long the file is and whose ``write`` writes it to a `HashingWriter`.

    tensors_to_save.py   an object made plain: containers, values, and for each tensor what its writing needs
    wrapped_tensors.py   tensors of classes that hold others, by the class's name
    shared_bytes.py      which of the tensors have bytes in common
    torch_zip_file.py    a torch file; why `torch.save` isn't used
    zip_archive.py       the zip archive that it is
    safetensors_file.py  a safetensors file
    hashing_stream.py    tensors through one small buffer into a file, fingerprinted on the way
    atomic_file.py       files of another name, synced, renamed over their target; locks; errors in words
"""
