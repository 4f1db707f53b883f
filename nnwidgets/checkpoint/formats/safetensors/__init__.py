"""Safetensors files, and shards with an index in JSON.

Start at `single_file.Safetensors`.

    single_file.py    one file: its header checked whole
    sharded_index.py  several, of this or another format, and their index
    strict_json.py    JSON with each key once
    crc_metadata.py   checksums that files saved here state in their metadata
"""
