"""What can be done to tensors: each operation plans a change, which `transaction.commit` carries out.

Start at `init.py`: it has all the steps that an operation may have.

    init.py              `init`: fill tensors anew
    initializers.py      what fills them: torch's own, users' (`initializer`), and how they are checked beforehand
    fan.py               fan-in, fan-out, and the initializers that go with what follows a layer
    padding_rows.py      rows of embeddings that are to stay zero
    stand_ins.py         tensors to try a change on, for previews
    swapped_memory.py    other memory under a model's tensors, for a while
    apply.py             `apply`, and a reset: run on modules, refused where it does more than write values
    module_structure.py  what such a function may not change, told and put back
    assign.py            `assign`: set elements, slices, whole tensors
    freeze.py            `freeze` and `unfreeze`
"""
