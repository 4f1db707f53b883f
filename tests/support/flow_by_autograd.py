"""Which module's output reaches which module's input, by autograd's graph alone."""

import dataclasses

import torch


class _Mark(torch.autograd.Function):
    """Has an output know its module, also where that gave back what it was given."""

    @staticmethod
    def forward(ctx, given):
        return given.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def edges_by_autograd(net, given):
    """Pairs of calls, each a path and the how manieth of it; a target is ``"output"`` for what the model gives.

    Between calls of modules that have no others in them. What has no gradient isn't seen.
    """
    names = {module: name for name, module in net.named_modules()}
    counts, edges, stack, owners, kept = {}, set(), [], {}, []

    def is_leaf(module):
        return module is not net and not set(module._modules) - {"parametrizations"}

    def sources(value):
        waiting, seen, found = [tensor.grad_fn for tensor in tensors(value)], set(), set()
        while waiting:
            function = waiting.pop()
            if function is None or function in seen:
                continue
            seen.add(function)
            if function in owners:
                found.add(owners[function])
            else:
                waiting += [following for following, _ in function.next_functions]
        return found

    def before(module, args, kwargs):
        counts[module] = counts.get(module, -1) + 1
        stack.append((names[module], counts[module]))
        if is_leaf(module):
            edges.update((source, stack[-1]) for source in sources((args, kwargs)))

    def after(module, args, kwargs, output):
        call = stack.pop()

        def marked(tensor):
            made = _Mark.apply(tensor if tensor.requires_grad else tensor.detach().requires_grad_())
            owners[made.grad_fn] = call
            kept.append(made.grad_fn)
            return made

        return replaced(output, marked) if is_leaf(module) else None

    handles = [module.register_forward_pre_hook(before, with_kwargs=True) for module in net.modules()]
    handles += [module.register_forward_hook(after, with_kwargs=True) for module in net.modules()]
    try:
        edges.update((source, "output") for source in sources(net(**given)))
    finally:
        for handle in handles:
            handle.remove()
    return edges


def edges_by_trace(trace):
    """The same of a trace, its operators left out; with each, whether all ways go through what has no gradient."""
    into = {}
    for edge in trace.edges:
        into.setdefault(edge.target, []).append(edge)
    known = {}

    def sources(target):
        if target not in known:
            found = known[target] = {}
            for edge in into.get(target, ()):
                is_hidden = "float" not in edge.dtype
                if edge.source >= 0:
                    call = trace.calls[edge.source]
                    behind = {(call.path, call.call_index): False}
                else:
                    behind = sources(edge.source)
                for call, is_behind_hidden in behind.items():
                    found[call] = found.get(call, True) and (is_hidden or is_behind_hidden)
        return known[target]

    # From the first on, so that none waits for many others.
    for number in range(len(trace.operators)):
        sources(~number)
    ends = [(at, (call.path, call.call_index)) for at, call in enumerate(trace.calls)]
    ends += [(~at, "output") for at, each in enumerate(trace.operators) if each.kind == "output"]
    edges = {}
    for at, target in ends:
        for source, is_hidden in sources(at).items():
            if source != target:
                edges[source, target] = edges.get((source, target), True) and is_hidden
    return edges


def tensors(value):
    """The tensors in what a forward takes or gives."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for each in _inside(value) for tensor in tensors(each)]


def replaced(value, change):
    """The same with each tensor of floating point changed."""
    if isinstance(value, torch.Tensor):
        return change(value) if value.is_floating_point() else value
    if isinstance(value, dict):
        for key in list(value):
            value[key] = replaced(value[key], change)
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(replaced(each, change) for each in value))
    if isinstance(value, tuple | list):
        return type(value)(replaced(each, change) for each in value)
    return value


def _inside(value):
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, tuple | list):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return vars(value).values() if type(value).__name__.endswith("Cache") else ()
