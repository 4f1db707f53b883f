"""The same data as plain text for a terminal and as HTML without script.

Start at `pages/`: a record becomes a document there, which `plain` and `html` write out.

    pages/          what there is to say of each record
    document.py     what a document is made of: titles, facts, tables, notes, code
    flow_layout.py  where a small graph's boxes stand and its lines run
    plain.py        `render_text`: a document for a terminal
    printing.py     which page each result is, as it prints
    html.py         `render_html`: a document as one `<div>`; the only file that builds HTML
"""
