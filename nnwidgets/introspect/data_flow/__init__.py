"""Which call's output reaches which call's input: the edges of a trace, and the graph made of them.

Start at `recorder.FlowRecorder`, which a trace's hooks and its operator mode tell what runs, and at
`flow_view.FlowView`, which makes graphs of what it noted.

    sources.py      where what a tensor holds came from, known by its memory; no tensor is kept
    recorder.py     calls and operators as they run, and the edges between them
    settings.py     how the modules that are called are set
    call_tree.py    these as one tree of numbered nodes
    repeats.py      what does the same over and over, wired alike
    fold.py         which nodes are shown, and for which others each stands
    flow_view.py    the graph of a forward, as its boxes are opened and closed
    search.py       boxes by name, class and shape
    flow_graph.py   the graph's records
    written.py      the graph as Mermaid and as DOT
"""
