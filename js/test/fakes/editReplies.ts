import type {
  ChangedTensor,
  Figures,
  HistoryEntry,
  HistoryReply,
  InitializerBody,
  InitializersReply,
  InitReply,
  ParameterBody,
} from "../../src/protocol/messages.ts";

/** A parameter; without a default it is required. */
export function parameter(
  name: string,
  type: string,
  initial?: ParameterBody["default"],
  choices: readonly string[] = [],
): ParameterBody {
  return { name, type, required: initial === undefined, default: initial ?? null, choices };
}

export function filler(name: string, parameters: readonly ParameterBody[] = []): InitializerBody {
  return {
    name,
    kind: "torch",
    doc: `Fill with ${name}.`,
    signature: `${name}()`,
    parameters,
    draws: true,
    is_constant: false,
    refused: null,
  };
}

export function initializersReply(change: Partial<InitializersReply> = {}): InitializersReply {
  return {
    initializers: [
      filler("kaiming_normal_", [
        parameter("a", "float", 0),
        parameter("mode", "str", "fan_in", ["fan_in", "fan_out"]),
        parameter("nonlinearity", "str", "leaky_relu", ["linear", "relu", "leaky_relu"]),
      ]),
      filler("normal_", [parameter("mean", "float", 0), parameter("std", "float", 1)]),
      { ...filler("zeros_"), is_constant: true, draws: false, refused: "Every unit would stay the same." },
    ],
    suggested: "kaiming_normal_",
    scopes: [{ scope: "here", label: "this tensor", n_tensors: 1 }],
    n_weights: 1,
    n_vectors: 0,
    fan: {
      fan_in: 20,
      fan_out: 256,
      activation: "relu",
      activation_path: "1",
      gain: Math.SQRT2,
      stds: { xavier: 0.12, kaiming_fan_in: 0.3162 },
      note: "",
    },
    problem: null,
    ...change,
  };
}

export function figures(change: Partial<Figures> = {}): Figures {
  return {
    n: 5120,
    n_total: 5120,
    mean: 0,
    std: 0.1294,
    min: -0.22,
    max: 0.22,
    norm: 9.25,
    n_zero: 0,
    n_nan: 0,
    n_inf: 0,
    is_exact: true,
    ...change,
  };
}

export function changed(path: string, change: Partial<ChangedTensor> = {}): ChangedTensor {
  return {
    path,
    shape: "256 × 20",
    tie: null,
    how: "target",
    before: figures(),
    after: figures({ std: 0.3162 }),
    overlay: { edges: [-1, 0, 1], before: [0.5, 0.5], after: [0.25, 0.75] },
    ...change,
  };
}

export function initReply(change: Partial<InitReply> = {}): InitReply {
  return {
    label: "kaiming_normal_(nonlinearity='relu')",
    seed: 7,
    n_tensors: 1,
    n_elements: 5120,
    tensors: [changed("0.weight")],
    warnings: [],
    stale: [],
    code: "nn.init.kaiming_normal_(net[0].weight)",
    ...change,
  };
}

export function entry(change: Partial<HistoryEntry> = {}): HistoryEntry {
  return {
    label: "normal_(std=0.02)",
    kind: "init",
    paths: ["0.weight"],
    n_paths: 1,
    seed: 7,
    time: 1_795_000_000,
    warnings: [],
    state: "done",
    ...change,
  };
}

export function historyReply(change: Partial<HistoryReply> = {}): HistoryReply {
  return {
    entries: [],
    first: 0,
    n_changes: 0,
    undo: null,
    redo: null,
    kept_bytes: 0,
    budget_bytes: 2 ** 31,
    ...change,
  };
}
