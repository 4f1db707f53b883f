"""Files and folders of other kinds, which people do try to load: what each is, and what can be done with it.

Told by content first, by name second; none of it is read further than that takes. To add a kind, add a line to a table.

    kind.py               what something is, and the error that says so
    kinds_of_files.py     files, by marks at known places and by the ends of names
    archives.py           zip and tar files by what is in them, compressed files by how that begins
    binary_messages.py    formats without a mark, by their first fields: protobuf, msgpack
    text_files.py         text: pages, answers of servers, settings, pointers, programs
    kinds_of_folders.py   folders, by the names in them
"""

from __future__ import annotations

from nnwidgets.checkpoint.formats.other_kinds.archives import kind_of_zip
from nnwidgets.checkpoint.formats.other_kinds.kind import Kind, error_of
from nnwidgets.checkpoint.formats.other_kinds.kinds_of_files import kind_of_file
from nnwidgets.checkpoint.formats.other_kinds.kinds_of_folders import kind_of_folder

__all__ = ["Kind", "error_of", "kind_of_file", "kind_of_folder", "kind_of_zip"]
