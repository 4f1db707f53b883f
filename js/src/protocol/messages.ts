// Generated from nnwidgets/wire/schema by js/tools/generate_messages.py. Edit the schema, then run that.

export const VERSION = 1;

export type Number = number | string;

export type Severity = "error" | "warning" | "note";

export type RowKind = "module" | "fold" | "alias" | "cycle" | "tensor" | "problem";

export type Chip = "trainable" | "frozen" | "tied" | "findings" | "notes";

export type Of = "value" | "grad";

export type Column = "path" | "shape" | "dtype" | "mean" | "std" | "min" | "max" | "norm" | "n_zero" | "n_nan" | "n_inf" | "grad_norm" | "n_grad_bad" | "moved" | "note";

export type Scope = "here" | "fold" | "filter";

export type Only = "all" | "weights" | "vectors";

export type Status = "match" | "renamed" | "shape_mismatch" | "dtype_cast" | "missing" | "unexpected" | "tied" | "own_code" | "converted" | "sharded";

export type Difference = "values" | "shape" | "dtype" | "added" | "removed" | "equal";

export type Ask = "here" | "tree" | "stats" | "values" | "check" | "trace" | "history" | "initializers" | "target" | "plan" | "diff" | "save" | "prepare" | "renew" | "commit" | "release" | "revoke" | "call-off";

export type ErrorCode =
  | "malformed"
  | "unsupported-version"
  | "unknown-kind"
  | "model-gone"
  | "model-not-found"
  | "path-not-found"
  | "invalid-target"
  | "unreadable"
  | "initializer"
  | "changed-since"
  | "not-traced"
  | "outside-folder"
  | "file-exists"
  | "unsafe-checkpoint"
  | "corrupt-checkpoint"
  | "checkpoint-mismatch"
  | "save"
  | "cancelled"
  | "view-closed"
  | "internal";

/** page → kernel. */
export interface Request {
  readonly v: number;
  readonly id: string;
  readonly kind: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What went wrong, for programs (`code`) and people (`message`, `hint`). */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly path: string | null;
  readonly hint: string;
}

/**
 * kernel → page, exactly one per request: `body` where `ok`, else `error`.
 *
 * `id` is "" where the request's own could not be read. `buffers` only comes from `nnwidgets.handle`: in base64.
 */
export interface Reply {
  readonly v: number;
  readonly id: string;
  readonly ok: boolean;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly error?: WireError;
  readonly buffers?: readonly string[];
}

/** How far, in the work's own units. */
export interface ProgressBody {
  readonly done: number;
  readonly total: number;
}

/** kernel → page, zero or more before the reply. */
export interface Progress {
  readonly v: number;
  readonly id: string;
  readonly progress: ProgressBody;
}

/**
 * kernel → page, unasked.
 *
 * changed: the model may have changed: ask again for what is in sight. `body` is a `ChangedBody`.
 * closed: the view is over. `body` is a `ClosedBody`.
 * traced: a trace arrived; `body` is empty.
 * ticked: a step of a training was measured. `body` is a `TickedBody`.
 * activated: a run of `activations` arrived; `body` is empty.
 */
export interface Event {
  readonly v: number;
  readonly event: "changed" | "closed" | "traced" | "ticked" | "activated";
  readonly body: Readonly<Record<string, unknown>>;
}

/** `structure` False: only values may have changed, rows need not be asked again. */
export interface ChangedBody {
  readonly structure: boolean;
}

/** Why the view is over, as an error reply would say it: `model-gone` or `view-closed`. */
export interface ClosedBody {
  readonly code: string;
  readonly message: string;
}

/**
 * NaN and infinities in what trains.
 *
 * step: the first after which some were seen. last_clean: the last before it after which there were none, null where
 *     that was never seen.
 * path: the first tensor with some; `of`: whether in its gradient or its values.
 * n_tensors: how many tensors had some then.
 */
export interface NotFinite {
  readonly step: number;
  readonly last_clean: number | null;
  readonly path: string;
  readonly of: "gradient" | "value";
  readonly n_tensors: number;
}

/**
 * One step of a training, of the rows that the page was sent last.
 *
 * step: how many times `tick()` was called.
 * broken: where NaN and infinities came in, null while there are none.
 * beats: for each row by path, for a fold by its id, the norm of its trainable parameters, that of their gradients,
 *     and how far the step moved them, over the norm; null where there is none, or it isn't known.
 * moved: how far rows have moved since a mark, by path, over the norm then; null where only that they did is known,
 *     and none for those that didn't. Such an event has no beats.
 * signals: of modules, by path or fold, the mean and the standard deviation of what they gave in this step, and the
 *     standard deviation of the gradient that arrived there; null where none did. Such an event has no beats.
 * part: with the first such event, the part of the page `pulse`, since a busy kernel answers no requests.
 */
export interface TickedBody {
  readonly step: number;
  readonly beats: Readonly<Record<string, readonly (number | string | null)[]>>;
  readonly broken: NotFinite | null;
  readonly moved?: Readonly<Record<string, number | string | null>>;
  readonly signals?: Readonly<Record<string, readonly (number | string | null)[]>>;
  readonly part?: PartReply;
}

/**
 * A binary array: row-major, little-endian; `buffer` is its index among the message's buffers.
 *
 * Where a message can carry no buffers (`nnwidgets.handle`), the reply has them beside its body, in base64.
 */
export interface Array {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly buffer: number;
}

/** Only which model. */
export interface ModelBody {
  readonly model?: string;
}

/** A path of the model. */
export interface PathBody {
  readonly model?: string;
  readonly path: string;
}

/** A variable of the kernel that holds a module. */
export interface ModelVariable {
  readonly name: string;
  readonly class_name: string;
}

/** Modules among the kernel's variables. */
export interface ModelsReply {
  readonly models: readonly ModelVariable[];
}

/** Nothing. */
export interface VariablesBody {
}

/**
 * A variable of the kernel: what its value is, and which one.
 *
 * identity: stays the same for as long as the name holds the same object; another object never gets it.
 */
export interface Variable {
  readonly name: string;
  readonly class_name: string;
  readonly identity: number;
}

/**
 * Modules and torch optimizers among the kernel's variables, in the order they were made.
 *
 * Modules right within a list, a dict or an object's attributes come after, by Python's names: `models[0]`,
 * `nets["a"]`, `trainer.model`; requests may name them so. No code of theirs runs. Names that begin with an underscore
 * are left out.
 */
export interface VariablesReply {
  readonly modules: readonly Variable[];
  readonly optimizers: readonly Variable[];
}

/** Id of the request to stop. It then replies with error code `cancelled`; this one replies whether it was found. */
export interface CancelBody {
  readonly id: string;
}

/** False where that request had ended, or never was. */
export interface CancelReply {
  readonly found: boolean;
}

/**
 * Which part of the page.
 *
 * name: `checkpoints` is its panel of checkpoints, `reinitialize` what fills tensors anew, `pulse` the column of a
 *     training's course, `help` what the filter and the keys mean, `depth` a tensor in every block, `table` the view
 *     of all tensors, a row each, `ranks` what is drawn of a model over ranks, `signal` what is drawn of a run of
 *     `activations`, `graph` what is drawn of a forward's graph, `layout` what finds
 *     places for it, `zh` its words in Simplified Chinese, `sentences` what reads by them what the kernel says.
 */
export interface PartBody {
  readonly name: "checkpoints" | "reinitialize" | "pulse" | "help" | "depth" | "table" | "ranks" | "signal" | "graph" | "layout" | "sentences" | "zh";
}

/**
 * A module's source that has a function as its default export, and the style that goes with it.
 *
 * Of words, a JSON object from English to the other language, and no style.
 */
export interface PartReply {
  readonly code: string;
  readonly style: string;
}

/** A dimension of a mesh of ranks. */
export interface MeshDimension {
  readonly name: string;
  readonly size: number;
}

/** `model` names a variable of the kernel; a widget's own messages leave it out. */
export interface OpenBody {
  readonly model?: string;
}

/**
 * Counts of the whole model, each storage element once.
 *
 * `n_params_torch` is what torch's own sum says, None where it raises, and `why` the reason where they differ.
 */
export interface Totals {
  readonly n_params: number | string;
  readonly n_params_trainable: number | string;
  readonly n_params_torch: number | string | null;
  readonly size_bytes: number | string;
  readonly n_modules: number;
  readonly n_tensors: number;
  readonly why: string | null;
}

/** What each chip is about: tensors for the first three, errors and warnings, notes. */
export interface ChipCounts {
  readonly trainable: number;
  readonly frozen: number;
  readonly tied: number;
  readonly findings: number;
  readonly notes: number;
}

/**
 * How a rank was when it was last asked.
 *
 * answered: whether it did. host: "" where it never has. doing: what is known of it: "hasn't answered for 5.0 s".
 * local_bytes: of the model, that it holds.
 */
export interface RankState {
  readonly rank: number;
  readonly host: string;
  readonly state: "idle" | "busy" | "stuck" | "missing" | "dead";
  readonly answered: boolean;
  readonly doing: string;
  readonly local_bytes: number | string;
}

/**
 * Of a model over ranks: who holds it.
 *
 * mesh: of the tensor that is spread over the most dimensions; empty where none is. problem: why the ranks couldn't
 *     say what the model is now; the rows are then as last read. can_change: whether it can be changed from here, as
 *     soon as all ranks answer; else it can be looked at alone.
 */
export interface RanksState {
  readonly mesh: readonly MeshDimension[];
  readonly ranks: readonly RankState[];
  readonly problem: string | null;
  readonly can_change: boolean;
}

/**
 * The model at a glance, with the first window of rows.
 *
 * `ranks` comes for a model over ranks. `run` is the number of the last run of `activations` that the rows tell of.
 */
export interface OpenReply {
  readonly name: string;
  readonly class_name: string;
  readonly totals: Totals;
  readonly chips: ChipCounts;
  readonly rows: RowsReply;
  readonly ranks?: RanksState;
  readonly run?: number;
}

/**
 * Which rows are open is the page's to say; what that comes to is the kernel's to work out.
 *
 * expanded: ids of open rows, or None for the default opening (which the reply tells).
 * picked: for an open fold, the index of the member shown (default 0). What was open below another member is open
 *     below this one, and the reply's `expanded` says so.
 * unfolded: folds opened as all their members.
 * filter: words of the filter box, all of which must hold; "" for none. A word is a path, a glob, a class, Python that
 *     leads to a part (`net.h[0]`), a part of a name, or a condition on tensors: `shape:768`, `shape:256x*`,
 *     `dtype:bf16`, `device:cuda`, `is:buffer`, `params>1e6`, `frozen`, `trainable`, `tied`,
 *     `@Shard(0)`, `@rank:3`, `!word`. In a filtered
 *     view every ancestor of a match is open, and nothing is folded but below a match.
 * chips: every chip must hold, but `trainable` and `frozen` together keep both, and so do `findings` and `notes`.
 * start, count: the window; at most 500 rows come.
 */
export interface RowsBody {
  readonly model?: string;
  readonly expanded: readonly string[] | null;
  readonly picked: Readonly<Record<string, number>>;
  readonly unfolded: readonly string[];
  readonly filter: string;
  readonly chips: readonly ("trainable" | "frozen" | "tied" | "findings" | "notes")[];
  readonly start: number;
  readonly count: number;
}

/**
 * One cell of a fold's strip: a member, or several in a row, of which `path` is the first's.
 *
 * label: the member's name, or the first one's and the last one's. frozen: "all", "some" of their parameters, or None.
 * findings: how many are within, the gravest of them being `worst`.
 */
export interface FoldMember {
  readonly path: string;
  readonly label: string;
  readonly frozen: "all" | "some" | null;
  readonly findings: number;
  readonly worst: "error" | "warning" | "note" | null;
}

/**
 * A run of like siblings shown as one row.
 *
 * `members` are at most 64 cells, each of `per_cell` members (the last perhaps of fewer). `picked_path` is the path of
 * the member shown.
 */
export interface Fold {
  readonly count: number;
  readonly picked: number;
  readonly picked_path: string;
  readonly unfolded: boolean;
  readonly per_cell: number;
  readonly members: readonly FoldMember[];
}

/** The last trace, on its row. `shape` is input → output of the last call. */
export interface RowTrace {
  readonly n_calls: number;
  readonly shape: string;
  readonly seconds: number | null;
  readonly failed: boolean;
  readonly unused: boolean;
  readonly flops?: number | string | null;
  readonly saved_bytes?: number | string | null;
}

/**
 * The last run of `activations`, on its row: of the module's last call, the first tensor that it gave.
 *
 * std, gradient: of its values, and of the gradient there, None where none came. level, gradient_level: how long their
 *     bars are, 0 to 1, each on a logarithmic scale of all rows. n_bad: NaN and infinite values.
 */
export interface RowSignal {
  readonly std: number | string;
  readonly level: number;
  readonly gradient: number | string | null;
  readonly gradient_level: number | null;
  readonly n_bad: number | string;
}

/**
 * One line of the tree grid.
 *
 * id: stable across requests: "m:" + path, "t:" + path, "f:" + path of the run's first member.
 * level: 1 for the model itself. position, set_size: among its siblings, from 1.
 * name: what the name column shows; path: the real path ("" the model; a fold's is its first member's).
 * shape: "256 × 20", "20 → 256", "p = 0.1", "()", "? → 10", "".
 * n_params: None shows as a dash. counted: False where every element was already counted under an earlier name.
 * share: of the model's parameters, 0 to 1.
 * dtype: "float32"; dtype_short: "f32". Empty for modules.
 * tie: letter of the group this tensor is in. tie_inside: of the first group with a member below.
 * frozen: "all", "some" of the parameters here and below, or None.
 * findings: worst severity on this very row; findings_inside: count below it; worst_inside: their worst severity.
 * note: hover text: why counts differ, what is special.
 * untrained: true for a parameter that asks for gradients and is in no optimizer, where the model has one.
 * placement: how a DTensor is spread over its mesh, in short: "S0 · R".
 * signal: of a module that was called in the last run of `activations`; of a fold, that of the member it shows.
 */
export interface Row {
  readonly id: string;
  readonly kind: "module" | "fold" | "alias" | "cycle" | "tensor" | "problem";
  readonly level: number;
  readonly position: number;
  readonly set_size: number;
  readonly name: string;
  readonly path: string;
  readonly class_name: string;
  readonly shape: string;
  readonly n_params: number | string | null;
  readonly counted: boolean;
  readonly share: number;
  readonly dtype: string;
  readonly dtype_short: string;
  readonly role: "parameter" | "buffer" | "unregistered" | null;
  readonly expandable: boolean;
  readonly expanded: boolean;
  readonly tie: string | null;
  readonly tie_inside: string | null;
  readonly frozen: "all" | "some" | null;
  readonly findings: "error" | "warning" | "note" | null;
  readonly findings_inside: number;
  readonly worst_inside: "error" | "warning" | "note" | null;
  readonly alias_of: string | null;
  readonly problem: string | null;
  readonly note: string | null;
  readonly matched: boolean;
  readonly fold: Fold | null;
  readonly trace: RowTrace | null;
  readonly untrained?: boolean;
  readonly placement?: string;
  readonly signal?: RowSignal;
}

/** A tick of the overview ruler, at row `index` of the flattened tree. */
export interface RulerMark {
  readonly index: number;
  readonly tie: string | null;
  readonly severity: "error" | "warning" | "note" | null;
  readonly path: string;
}

/**
 * A window of rows, and what the whole flattened tree comes to.
 *
 * `expanded` is what is open now: take it over. `n_matches` counts matches of the filter and chips, 0 without any.
 * `problem` says why the filter can't be read; the rows are then the unfiltered ones. `ruler` has at most 200 marks.
 */
export interface RowsReply {
  readonly generation: number;
  readonly total: number;
  readonly start: number;
  readonly rows: readonly Row[];
  readonly expanded: readonly string[];
  readonly n_matches: number;
  readonly problem: string | null;
  readonly ruler: readonly RulerMark[];
}

/** As `RowsBody`, with the path to reach. */
export interface LocateBody {
  readonly model?: string;
  readonly path: string;
  readonly expanded: readonly string[] | null;
  readonly picked: Readonly<Record<string, number>>;
  readonly unfolded: readonly string[];
  readonly filter: string;
  readonly chips: readonly ("trainable" | "frozen" | "tied" | "findings" | "notes")[];
}

/** The row's index in the flattened tree once `expanded` and `picked` are taken over. */
export interface LocateReply {
  readonly index: number;
  readonly id: string;
  readonly expanded: readonly string[];
  readonly picked: Readonly<Record<string, number>>;
}

/** What `ValuesBody` says beside the path. */
export interface WindowBody {
  readonly of?: "value" | "grad";
  readonly row?: number;
  readonly column?: number;
  readonly rows?: number;
  readonly columns?: number;
  readonly max_rows?: number;
  readonly max_columns?: number;
}

/**
 * What else is wanted with the facts, one round trip less.
 *
 * bins: sampled statistics of the values, with at most so many bins.
 * windows: the values in as many windows, at most 4.
 */
export interface InspectBody {
  readonly model?: string;
  readonly path: string;
  readonly bins?: number;
  readonly windows?: readonly WindowBody[];
}

/** One finding. */
export interface FindingBody {
  readonly code: string;
  readonly severity: "error" | "warning" | "note";
  readonly path: string;
  readonly message: string;
  readonly fix: string | null;
}

/** One name of a tie group. `how` says how it lies to the inspected tensor: "same object", "transposed view". */
export interface TieMember {
  readonly path: string;
  readonly shape: string;
  readonly how: string;
}

/** One tie group. */
export interface TieBody {
  readonly id: string;
  readonly kind: string;
  readonly shared_bytes: number | string;
  readonly members: readonly TieMember[];
}

/** Working Python for the inspected thing, with what it is for. */
export interface CodeLine {
  readonly label: string;
  readonly code: string;
}

/** The same tensor or module in the neighbouring members of its fold; `label` is this member's ("h.3"). */
export interface Siblings {
  readonly label: string;
  readonly index: number;
  readonly count: number;
  readonly previous: string | null;
  readonly next: string | null;
}

/**
 * What is known of a tensor without reading its data.
 *
 * placements, mesh, local_shape: of a DTensor, how it is spread over each dimension of its mesh (`Shard(0)`), and the
 *     shape of the part here; of a model over ranks, of the part on the first rank that has it.
 */
export interface TensorFacts {
  readonly shape: readonly number[] | null;
  readonly dtype: string;
  readonly device: string;
  readonly layout: string;
  readonly requires_grad: boolean;
  readonly role: "parameter" | "buffer" | "unregistered";
  readonly persistent: boolean;
  readonly n_elements: number | string;
  readonly size_bytes: number | string;
  readonly has_grad: boolean;
  readonly strides: readonly number[] | null;
  readonly is_contiguous: boolean | null;
  readonly version: number | null;
  readonly readable: string | null;
  readonly placements?: readonly string[];
  readonly mesh?: readonly MeshDimension[];
  readonly local_shape?: readonly number[] | null;
}

/**
 * What is known of a module; of another name of one, what is known of the module.
 *
 * n_parameters, n_frozen: tensors that are parameters, and those of them that ask for no gradient.
 * extra: its guarded, cut `extra_repr` equivalent, from plain attributes.
 */
export interface ModuleFacts {
  readonly n_params: number | string;
  readonly n_params_trainable: number | string;
  readonly size_bytes: number | string;
  readonly n_modules: number;
  readonly n_tensors: number;
  readonly n_parameters: number;
  readonly n_frozen: number;
  readonly training: boolean | null;
  readonly extra: string;
  readonly hooks: readonly string[];
  readonly doc: string;
  readonly tensors: readonly ModuleTensor[];
}

/** A tensor of the inspected module's own. */
export interface ModuleTensor {
  readonly path: string;
  readonly name: string;
  readonly shape: string;
  readonly dtype: string;
  readonly role: "parameter" | "buffer" | "unregistered";
  readonly n_elements: number | string;
}

/** A setting of an optimizer's group, and how it is written. */
export interface Setting {
  readonly name: string;
  readonly value: string;
}

/** What an optimizer remembers of a parameter: its norm where `is_norm`, else a number or how large it is. */
export interface Remembered {
  readonly name: string;
  readonly value: string;
  readonly is_norm: boolean;
  readonly shape: string;
  readonly dtype: string;
  readonly size_bytes: number | string;
}

/**
 * A group of an optimizer that holds the inspected parameter. `name` is its variable's, or its class's.
 *
 * step: how many steps the parameter has made, where that is counted.
 */
export interface OptimizerPlace {
  readonly name: string;
  readonly class_name: string;
  readonly group: number;
  readonly n_groups: number;
  readonly settings: readonly Setting[];
  readonly step: number | string | null;
  readonly state: readonly Remembered[];
}

/**
 * `tensor` or `module` is set, the other None.
 *
 * optimizers: of a parameter, where an optimizer of the model is known; empty where the parameter asks for gradients
 *     and none holds it.
 * stats: where `bins` was asked and the values are at hand.
 * windows: where they were asked and the values are at hand and few: each as `values` answers, or None where that
 *     would be an error.
 */
export interface InspectReply {
  readonly path: string;
  readonly kind: "module" | "alias" | "cycle" | "tensor";
  readonly class_name: string;
  readonly alias_of: string | null;
  readonly problem: string | null;
  readonly tie: TieBody | null;
  readonly ties_inside: readonly TieBody[];
  readonly findings: readonly FindingBody[];
  readonly code: readonly CodeLine[];
  readonly siblings: Siblings | null;
  readonly tensor: TensorFacts | null;
  readonly module: ModuleFacts | null;
  readonly trace: readonly TraceCallBody[];
  readonly stats?: StatsReply;
  readonly windows?: readonly (ValuesReply | null)[];
  readonly optimizers?: readonly OptimizerPlace[];
}

/** `exact` False answers from a sample at once; True (the default) reads everything, with progress, cancellably. */
export interface StatsBody {
  readonly model?: string;
  readonly path: string;
  readonly of?: "value" | "grad";
  readonly exact?: boolean;
  readonly bins?: number;
}

/**
 * Statistics without the histogram; of a sample where `is_exact` is False, unless `of` says of what.
 *
 * of: whose they are, where not the whole tensor's values: a shard's, or codes'.
 */
export interface Figures {
  readonly n: number | string;
  readonly n_total: number | string;
  readonly mean: number | string;
  readonly std: number | string;
  readonly min: number | string;
  readonly max: number | string;
  readonly norm: number | string;
  readonly n_zero: number | string;
  readonly n_nan: number | string;
  readonly n_inf: number | string;
  readonly is_exact: boolean;
  readonly of?: string;
}

/** A histogram of the range that nearly all values of a sample lie in; `outside` is the share of the others. */
export interface Bulk {
  readonly hist_counts: readonly (number | string)[];
  readonly hist_edges: readonly (number | string)[];
  readonly outside: number;
}

/**
 * What one rank holds of a tensor.
 *
 * part: its place along each dimension of the mesh that the tensor is cut over; empty where it has all. Ranks of one
 *     part are replicas.
 */
export interface RankFigures {
  readonly rank: number;
  readonly part: readonly number[];
  readonly n: number | string;
  readonly min: number | string;
  readonly mean: number | string;
  readonly max: number | string;
  readonly norm: number | string;
  readonly n_nan: number | string;
  readonly n_inf: number | string;
}

/**
 * `TensorStats`, field by field; `n_total` is the tensor's element count, `version` its version counter.
 *
 * bulk: where a few values lie so far off that the histogram has the rest in a few bins.
 * by_rank: of a model over ranks, a line for each that holds some of it. There is nothing more exact to be asked for.
 * missing: the ranks that didn't answer; where what they hold is missing here, `of` says so.
 */
export interface StatsReply {
  readonly n: number | string;
  readonly n_total: number | string;
  readonly mean: number | string;
  readonly std: number | string;
  readonly min: number | string;
  readonly max: number | string;
  readonly norm: number | string;
  readonly n_zero: number | string;
  readonly n_nan: number | string;
  readonly n_inf: number | string;
  readonly is_exact: boolean;
  readonly of?: string;
  readonly hist_counts: readonly (number | string)[];
  readonly hist_edges: readonly (number | string)[];
  readonly bulk?: Bulk;
  readonly by_rank?: readonly RankFigures[];
  readonly missing?: readonly number[];
  readonly version: number | null;
}

/** A window of the tensor seen as a matrix, thinned to at most `max_rows` × `max_columns` cells. */
export interface ValuesBody {
  readonly of?: "value" | "grad";
  readonly row?: number;
  readonly column?: number;
  readonly rows?: number;
  readonly columns?: number;
  readonly max_rows?: number;
  readonly max_columns?: number;
  readonly model?: string;
  readonly path: string;
}

/** A rectangle of the matrix that a tensor is seen as. */
export interface MatrixBox {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

/** The part of a tensor that some ranks have. */
export interface ShardBox {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  readonly ranks: readonly number[];
}

/**
 * A window of the `n_rows` × `n_columns` matrix that a tensor is seen as.
 *
 * values: float32. Cell [i, j] is element (row + i * row_step, column + j * column_step) or, where a step is above 1,
 *     the element of largest magnitude in its block.
 * texts: each cell's exact text, where nothing was thinned and the window is at most 4,096 cells.
 * scale: the magnitude at full colour (99.5th percentile of |value| of a sample of the whole tensor, without those
 *     that are more than four times as large as nine tenths of them).
 * row_axes, column_axes: the tensor's dimensions that a row or column runs over.
 * shards: of a model over ranks, each part with the ranks that have it. absent: what of the window none has that
 *     answered; its values are 0, its texts dashes.
 */
export interface ValuesReply {
  readonly n_rows: number;
  readonly n_columns: number;
  readonly row: number;
  readonly column: number;
  readonly row_step: number;
  readonly column_step: number;
  readonly values: Array;
  readonly texts: readonly (readonly string[])[] | null;
  readonly scale: number | string;
  readonly row_axes: readonly number[];
  readonly column_axes: readonly number[];
  readonly shape: readonly number[];
  readonly shards?: readonly ShardBox[];
  readonly absent?: readonly MatrixBox[];
}

/**
 * Standard deviation of the same tensor in each member of its fold, sampled, as at most 128 bars.
 *
 * labels, paths: of each bar; it stands for `per_bar` members in a row (the last perhaps for fewer), and leads to the
 * first. std, least: the greatest and the least among them, NaN where one can't be told. index: the bar of the tensor
 * asked about. n_members: of the fold; n_read: how many were read, at most 4,096.
 */
export interface DepthReply {
  readonly name: string;
  readonly labels: readonly string[];
  readonly paths: readonly string[];
  readonly std: readonly (number | string)[];
  readonly least: readonly (number | string)[];
  readonly is_exact: boolean;
  readonly index: number;
  readonly per_bar: number;
  readonly n_members: number;
  readonly n_read: number;
}

/** All groups. */
export interface TiesReply {
  readonly ties: readonly TieBody[];
}

/** All findings, worst first. */
export interface FindingsReply {
  readonly findings: readonly FindingBody[];
}

/** One call. */
export interface TraceCallBody {
  readonly path: string;
  readonly call_index: number;
  readonly depth: number;
  readonly input_shapes: readonly (readonly number[])[];
  readonly input_dtypes: readonly string[];
  readonly output_shapes: readonly (readonly number[])[];
  readonly output_dtypes: readonly string[];
  readonly seconds: number | null;
  readonly flops: number | string | null;
  readonly saved_bytes?: number | string | null;
}

/**
 * Run a forward in the main thread, once no cell runs: on tensors among the variables, or on inputs of a size.
 *
 * inputs: names of variables, passed by position.
 * size: a size of one input, such as `2,20` or `2,20:int64`; made and passed where no inputs are named.
 */
export interface ForwardBody {
  readonly model?: string;
  readonly inputs?: readonly string[];
  readonly size?: string;
}

/** A variable of the kernel that holds a tensor. */
export interface TensorVariable {
  readonly name: string;
  readonly shape: string;
  readonly dtype: string;
}

/** Tensors among the kernel's variables, in the order they were made, at most 200. */
export interface TensorsReply {
  readonly tensors: readonly TensorVariable[];
}

/** Whether a trace was shown until now. */
export interface ClearReply {
  readonly cleared: boolean;
}

/**
 * The last trace shown in this view; `calls` is cut to 2,000, `n_calls` says how many there were.
 *
 * saved_bytes: what autograd keeps for a backward, None where gradients were off or it isn't known.
 */
export interface TraceReply {
  readonly calls: readonly TraceCallBody[];
  readonly n_calls: number;
  readonly failed_at: string | null;
  readonly error: string | null;
  readonly unused: readonly string[];
  readonly seconds: number;
  readonly flops: number | string | null;
  readonly saved_bytes?: number | string | null;
}

/**
 * Give the graph of the last trace shown, as much of it as is open.
 *
 * opened: keys of the boxes that are open, in the order they were opened; without it some sixty nodes are shown.
 * show: a module's path; what it is in is opened too.
 * find: words, each part of a name or a class, or of the shape of what a box gave, as "2x4". nth: which of the boxes
 *     found is to be shown; what it is in is opened too.
 * widest: the most nodes directly in a box, as a reply has it: with its `opened`, the same graph is given again.
 * mermaid: whether to give it as a Mermaid flowchart too.
 */
export interface GraphBody {
  readonly model?: string;
  readonly opened?: readonly string[];
  readonly show?: string;
  readonly find?: string;
  readonly nth?: number;
  readonly widest?: number;
  readonly mermaid?: boolean;
}

/**
 * What the last run of `activations` brought there: as on the row of the module; of several, that in the middle.
 *
 * std: of the values of the first tensor that it gave. level: where that lies, 0 to 1, on the logarithmic scale of the
 *     rows' bars. n_bad: NaN and infinite values, of several together.
 */
export interface GraphSignal {
  readonly std: number | string;
  readonly level: number;
  readonly n_bad: number | string;
}

/**
 * A box of the graph, or one of its ends. What isn't there is zero, false, or nothing.
 *
 * key: what it is known by, whatever else is shown, as long as the trace is the last.
 * parent: place of the box that it is in.
 * kind: `module` is a call of one; `row` a box around several that repeat together; `range` one around many of a box
 *     that has more than can be shown.
 * name: what to write, by the paths below that of the box that it is in.
 * path: of the module.
 * is_open: what is in it is shown.
 * can_open: something is in it.
 * n_calls: calls of modules in it.
 * n_repeats: how many in a row it stands for, where more than one.
 * failed: the forward ended here.
 * seconds, flops, n_params: of all that it stands for; seconds without what isn't known.
 * tie: the first tie group with a member in it.
 * findings: the worst severity of those on and in it.
 * n_found: how many of the boxes found are it, or in it where it is closed.
 */
export interface GraphNode {
  readonly key: string;
  readonly parent?: number;
  readonly kind: "module" | "operator" | "input" | "output" | "row" | "range";
  readonly name: string;
  readonly path?: string;
  readonly class_name?: string;
  readonly is_open?: boolean;
  readonly can_open?: boolean;
  readonly n_calls?: number;
  readonly n_repeats?: number;
  readonly failed?: boolean;
  readonly seconds?: number;
  readonly flops?: number | string;
  readonly n_params?: number | string;
  readonly tie?: string;
  readonly findings?: "error" | "warning" | "note";
  readonly signal?: GraphSignal;
  readonly n_found?: number;
}

/**
 * What flows from the node at one place to that at another.
 *
 * shape, dtype: of the first tensor.
 * through: operators on its way that only moved or reshaped its values.
 * n_tensors: how many, where more than one.
 * is_to_next: it goes to the next of those that the target stands for.
 */
export interface GraphEdge {
  readonly source: number;
  readonly target: number;
  readonly shape: string;
  readonly dtype: string;
  readonly through?: readonly string[];
  readonly n_tensors?: number;
  readonly is_to_next?: boolean;
}

/**
 * What was found.
 *
 * n: how many boxes, those that repeat as one; n_all: each of these.
 * nth: which of them is shown, where one was asked for.
 */
export interface GraphFound {
  readonly n: number;
  readonly n_all: number;
  readonly nth?: number;
}

/**
 * At most 400 nodes and 64 kB, Mermaid aside: where more was asked for, boxes that were opened before are closed.
 *
 * nodes: in the order they began, boxes before what is in them.
 * opened: keys of the boxes that are open.
 * n_closed: how many of those asked for aren't.
 * widest: the most nodes directly in a box: of more, ranges of them are boxes in it.
 * shown: place of the node that stands for what was to be shown, None where it wasn't called.
 * failed_at, error: as in a trace.
 * found: where something was to be found.
 * mermaid: the same graph as a Mermaid flowchart, which Markdown on many sites draws.
 */
export interface GraphReply {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  readonly opened: readonly string[];
  readonly n_closed: number;
  readonly widest: number;
  readonly shown: number | null;
  readonly failed_at: string | null;
  readonly error: string | null;
  readonly found?: GraphFound;
  readonly mermaid?: string;
}

/**
 * Statistics of all tensors, a row each, as a window.
 *
 * fresh: measure anew; without it a window of what was measured last comes. It is exact and tells how far it is.
 * filter, chips: as in `rows`; a module that they keep stands for the tensors below it.
 * sort: the column to go by, None for walk order. NaN is the greatest; what has no such number comes last.
 * start, count: the window; at most 500 rows come.
 * text: "markdown" or "csv" for all rows that are kept, as text; "" for none.
 */
export interface TableBody {
  readonly model?: string;
  readonly fresh: boolean;
  readonly filter: string;
  readonly chips: readonly ("trainable" | "frozen" | "tied" | "findings" | "notes")[];
  readonly sort: "path" | "shape" | "dtype" | "mean" | "std" | "min" | "max" | "norm" | "n_zero" | "n_nan" | "n_inf" | "grad_norm" | "n_grad_bad" | "moved" | "note" | null;
  readonly descending: boolean;
  readonly start: number;
  readonly count: number;
  readonly text: "" | "markdown" | "csv";
}

/**
 * One tensor; numbers are None where nothing was measured, or there is no gradient or mark.
 *
 * n_grad_bad: NaN and infinite elements of the gradient. moved: the norm of the change since the mark over the norm
 * then. tied_to: the path of the first tensor over the very same elements, whose numbers these are, or "". note: what
 * it is, where that isn't a plain tensor of its own elements; why nothing was measured.
 */
export interface TableRow {
  readonly path: string;
  readonly shape: readonly number[] | null;
  readonly dtype: string;
  readonly mean: number | string | null;
  readonly std: number | string | null;
  readonly min: number | string | null;
  readonly max: number | string | null;
  readonly norm: number | string | null;
  readonly n_zero: number | string | null;
  readonly n_nan: number | string | null;
  readonly n_inf: number | string | null;
  readonly grad_norm: number | string | null;
  readonly n_grad_bad: number | string | null;
  readonly moved: number | string | null;
  readonly tied_to: string;
  readonly note: string;
}

/**
 * A window of the table.
 *
 * columns: those in which something stands. n_tensors: of the whole model. mark: what rows have moved since, or None.
 * problem: why the filter can't be read, or None.
 */
export interface TableReply {
  readonly columns: readonly ("path" | "shape" | "dtype" | "mean" | "std" | "min" | "max" | "norm" | "n_zero" | "n_nan" | "n_inf" | "grad_norm" | "n_grad_bad" | "moved" | "note")[];
  readonly n_tensors: number;
  readonly total: number;
  readonly start: number;
  readonly rows: readonly TableRow[];
  readonly mark: string | null;
  readonly problem: string | null;
  readonly text: string;
}

/** Keep what the tensors are now, for `table` to tell how far they move; `set` false lets go of it. */
export interface MarkBody {
  readonly model?: string;
  readonly set: boolean;
}

/**
 * The mark that there is now, or None; what it holds in memory.
 *
 * has_values: false where the values would not fit the undo budget, so that only what moved is told, not how far.
 */
export interface MarkReply {
  readonly mark: string | null;
  readonly size_bytes: number | string;
  readonly has_values: boolean;
}

/**
 * Which tensors: one, all parameters of a module, the like of them in each member of a fold, or the filter's rows.
 *
 * scope: `here` (the default) is `path` itself, `fold` the same path in every member of the innermost fold around it,
 *     `filter` what `filter` and `chips` keep, as in `rows`; `path` is then what is in view.
 * only: `weights` leaves out tensors of fewer than two dimensions, `vectors` keeps only those.
 */
export interface TargetBody {
  readonly model?: string;
  readonly path: string;
  readonly scope?: "here" | "fold" | "filter";
  readonly only?: "all" | "weights" | "vectors";
  readonly filter?: string;
  readonly chips?: readonly ("trainable" | "frozen" | "tied" | "findings" | "notes")[];
}

/** A parameter of an initializer. `type`: "float", "int", "bool", "str", "any"; `choices` is empty where open. */
export interface ParameterBody {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly default: number | string | boolean | null;
  readonly choices: readonly string[];
}

/** An initializer. `refused` says why it can't fill this target, None where it can. */
export interface InitializerBody {
  readonly name: string;
  readonly kind: "torch" | "user" | "reset";
  readonly doc: string;
  readonly signature: string;
  readonly parameters: readonly ParameterBody[];
  readonly draws: boolean;
  readonly is_constant: boolean;
  readonly refused: string | null;
}

/** A scope that this path offers, in words ("all 12, h.0 to h.11"), with how many tensors it means. */
export interface ScopeBody {
  readonly scope: "here" | "fold" | "filter";
  readonly label: string;
  readonly n_tensors: number;
}

/**
 * What the usual rules say of a weight: its fans as torch's fillers take them, and the std each rule gives.
 *
 * activation: what follows the layer, where that can be told; gain is `calculate_gain` of it, else 1.
 * stds: by rule: `xavier`, `kaiming_fan_in`, `kaiming_fan_out`, `lecun`.
 */
export interface FanBody {
  readonly fan_in: number | string;
  readonly fan_out: number | string;
  readonly activation: string | null;
  readonly activation_path: string | null;
  readonly gain: number | string;
  readonly stds: Readonly<Record<string, number | string>>;
  readonly note: string;
}

/** Those on offer, the one suggested, and what is known of the target; `problem` says why nothing can fill it. */
export interface InitializersReply {
  readonly initializers: readonly InitializerBody[];
  readonly suggested: string;
  readonly scopes: readonly ScopeBody[];
  readonly n_weights: number;
  readonly n_vectors: number;
  readonly fan: FanBody | null;
  readonly problem: string | null;
}

/**
 * Fill a target anew.
 *
 * kwargs: the initializer's own parameters; text where its type is "any" is read as a Python literal if it is one.
 * seed: from 0 to 2^64 - 1; drawn and told where it is None or left out.
 * clear_state: also clear what live optimizers remember of the tensors.
 */
export interface InitBody {
  readonly model?: string;
  readonly path: string;
  readonly scope?: "here" | "fold" | "filter";
  readonly only?: "all" | "weights" | "vectors";
  readonly filter?: string;
  readonly chips?: readonly ("trainable" | "frozen" | "tied" | "findings" | "notes")[];
  readonly how: string;
  readonly kwargs?: Readonly<Record<string, number | string | boolean | null>>;
  readonly seed?: number | string | null;
  readonly clear_state?: boolean;
}

/** Two histograms on common edges, each bin as a share of the finite values looked at. */
export interface Overlay {
  readonly edges: readonly (number | string)[];
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/**
 * A tensor that changes. `how`: "target", or how its bytes are reached ("transposed view"); `tie`: its group.
 *
 * Statistics and overlay are there for the first tensors only.
 */
export interface ChangedTensor {
  readonly path: string;
  readonly shape: string;
  readonly tie: string | null;
  readonly how: string;
  readonly before: Figures | null;
  readonly after: Figures | null;
  readonly overlay: Overlay | null;
}

/** What an optimizer remembers of the old values, or that this is cleared with the change. */
export interface StaleState {
  readonly optimizer: string;
  readonly n_tensors: number;
  readonly message: string;
}

/** What would change, or has changed: at most 200 tensors are listed. `code` is the same in torch alone. */
export interface InitReply {
  readonly label: string;
  readonly seed: number | string | null;
  readonly n_tensors: number;
  readonly n_elements: number | string;
  readonly tensors: readonly ChangedTensor[];
  readonly warnings: readonly string[];
  readonly stale: readonly StaleState[];
  readonly code: string;
}

/** Set one element: `index` has a number per dimension, `value` is text as Python has it ("0.5", "nan", "1+2j"). */
export interface AssignBody {
  readonly model?: string;
  readonly path: string;
  readonly index: readonly number[];
  readonly value: string;
}

/** `force`: also over what other code has written since; without it that is refused as `changed-since`. */
export interface UndoBody {
  readonly model?: string;
  readonly force?: boolean;
}

/** A change that was made, taken back or made again; at most 200 paths are listed. */
export interface ChangeReply {
  readonly label: string;
  readonly paths: readonly string[];
  readonly n_paths: number;
  readonly seed: number | string | null;
  readonly warnings: readonly string[];
}

/** A change. `time`: seconds since 1970. `state`: `done`, `undone`, or `kept` where its undo copy was dropped. */
export interface HistoryEntry {
  readonly label: string;
  readonly kind: string;
  readonly paths: readonly string[];
  readonly n_paths: number;
  readonly seed: number | string | null;
  readonly time: number;
  readonly warnings: readonly string[];
  readonly state: "done" | "undone" | "kept";
}

/**
 * The log, the oldest first; the last 200 entries come. `first` is the number of the first one that does.
 *
 * undo, redo: label of the change that it would take back or make again, None where there is none.
 */
export interface HistoryReply {
  readonly entries: readonly HistoryEntry[];
  readonly first: number;
  readonly n_changes: number;
  readonly undo: string | null;
  readonly redo: string | null;
  readonly kept_bytes: number | string;
  readonly budget_bytes: number | string;
}

/** `index` picks one change in force, counted from 0; without it all of them, in order. */
export interface CodeBody {
  readonly model?: string;
  readonly index?: number;
}

/** Python that makes the changes again with torch alone, bit for bit. */
export interface CodeReply {
  readonly code: string;
}

/**
 * A folder under the notebook's own; "" is that itself.
 *
 * checkpoints_only: leave out what is no checkpoint by its name and first bytes.
 */
export interface FolderBody {
  readonly model?: string;
  readonly path: string;
  readonly checkpoints_only?: boolean;
}

/**
 * A file or folder.
 *
 * size_bytes: None for a folder.
 * modified: seconds since 1970, None where it can't be told.
 * refused: why it can't be opened here, None where it can.
 * format: as in `PeekReply`, told by the first bytes; absent where they tell none or all files were asked for.
 */
export interface FileBody {
  readonly name: string;
  readonly path: string;
  readonly kind: "folder" | "file";
  readonly format?: string;
  readonly size_bytes: number | string | null;
  readonly modified: number | null;
  readonly refused: string | null;
}

/** A folder on the way here. */
export interface Crumb {
  readonly name: string;
  readonly path: string;
}

/**
 * What is in a folder, the newest first; at most 2,000 come, `n_entries` says how many there are.
 *
 * Names that begin with a dot are left out; so are `n_hidden` more where only checkpoints were asked for.
 * Where `is_checkpoint`, the folder itself is one, sharded or distributed: `peek` of its path tells.
 */
export interface FolderReply {
  readonly path: string;
  readonly crumbs: readonly Crumb[];
  readonly entries: readonly FileBody[];
  readonly n_entries: number;
  readonly n_hidden: number;
  readonly is_checkpoint: boolean;
}

/**
 * What is in a checkpoint, from its headers alone, as a tree of its names.
 *
 * expanded: ids of open rows, or None for the default opening (which the reply tells).
 * text: keeps the tensors whose name holds it, as a flat list.
 * start, count: the window; at most 500 rows come.
 */
export interface PeekBody {
  readonly model?: string;
  readonly path: string;
  readonly expanded: readonly string[] | null;
  readonly text: string;
  readonly start: number;
  readonly count: number;
}

/**
 * A line of the tree: a group of names, or a tensor.
 *
 * name: what the line shows.
 * path: the whole name in the file.
 * n_tensors, size_bytes: of all below.
 * tie: letter of the group of names that share bytes in the file.
 * note: what is special.
 */
export interface StoredRow {
  readonly id: string;
  readonly kind: "group" | "tensor";
  readonly level: number;
  readonly name: string;
  readonly path: string;
  readonly expanded: boolean;
  readonly n_tensors: number;
  readonly size_bytes: number | string;
  readonly shape: readonly number[] | null;
  readonly dtype: string;
  readonly tie: string | null;
  readonly note: string;
}

/** A name with its text. */
export interface Pair {
  readonly name: string;
  readonly value: string;
}

/** A state dict in a file: `name` is what `entry` of a request takes. `why`: of the one taken, why. */
export interface EntryBody {
  readonly name: string;
  readonly n_tensors: number;
  readonly n_elements: number | string;
  readonly why: string;
}

/**
 * A checkpoint at a glance, with a window of its tree.
 *
 * state_dict: where the state dict was found, "" for the whole file, None where nothing looks like one.
 * optimizer: where an optimizer's state was found.
 * departures: in what it isn't as its format says.
 * metadata, values: text and plain values kept with it; at most 200 of each, cut to 400 characters.
 * entries: the state dicts in it, where there are several; at most 200.
 */
export interface PeekReply {
  readonly path: string;
  readonly format: string;
  readonly size_bytes: number | string;
  readonly n_files: number;
  readonly n_tensors: number;
  readonly n_rest: number;
  readonly n_elements: number | string;
  readonly n_ties: number;
  readonly dtypes: Readonly<Record<string, number>>;
  readonly state_dict: string | null;
  readonly optimizer: string | null;
  readonly metadata: readonly Pair[];
  readonly values: readonly Pair[];
  readonly departures: readonly string[];
  readonly entries?: readonly EntryBody[];
  readonly total: number;
  readonly start: number;
  readonly rows: readonly StoredRow[];
  readonly expanded: readonly string[];
}

/**
 * What a load would do.
 *
 * accept_all: take every suggested rename.
 * rename: from a name in the file to a path in the model, or to None, which refuses a suggestion; these come before
 *     what is suggested.
 * keep: which statuses come, all of them where empty.
 * text: keeps the names that hold it.
 * start, count: the window; at most 500 rows come.
 * entry: which state dict of the file; without it, the one that fits best.
 */
export interface PlanBody {
  readonly model?: string;
  readonly path: string;
  readonly entry?: string | null;
  readonly accept_all: boolean;
  readonly rename: Readonly<Record<string, string | null>>;
  readonly keep: readonly ("match" | "renamed" | "shape_mismatch" | "dtype_cast" | "missing" | "unexpected" | "tied" | "own_code" | "converted" | "sharded")[];
  readonly text: string;
  readonly start: number;
  readonly count: number;
}

/** Another name under which a tensor of the model may be in the file, with why. */
export interface SuggestionBody {
  readonly source: string;
  readonly reason: string;
  readonly confidence: number;
}

/**
 * What a load would do with one tensor; as `PlanEntry` says it.
 *
 * suggestion: a rename that is sure; `accept_all` takes it.
 * candidates: what else in the file it may be; taken only where one is typed into `rename`.
 * note: what is done to values that lie otherwise in the file, or why a tensor isn't loaded; else empty.
 */
export interface PlanRow {
  readonly path: string | null;
  readonly source: string | null;
  readonly status: "match" | "renamed" | "shape_mismatch" | "dtype_cast" | "missing" | "unexpected" | "tied" | "own_code" | "converted" | "sharded";
  readonly shape: readonly number[] | null;
  readonly dtype: string | null;
  readonly source_shape: readonly number[] | null;
  readonly source_dtype: string | null;
  readonly tied_to: string | null;
  readonly suggestion: SuggestionBody | null;
  readonly candidates: readonly SuggestionBody[];
  readonly note: string;
}

/** So many rows of one status, one after the other. */
export interface Run {
  readonly status: "match" | "renamed" | "shape_mismatch" | "dtype_cast" | "missing" | "unexpected" | "tied" | "own_code" | "converted" | "sharded";
  readonly count: number;
}

/**
 * A plan at a glance, with a window of its rows, problems first.
 *
 * n_loads: tensors of the model that a load would write, of `n_model`.
 * n_suggested: renames that are suggested and neither accepted nor refused.
 * n_renames: those accepted or typed.
 * is_complete: a strict load would go through.
 * has_optimizer: the file holds an optimizer's state and a live optimizer of the model could take it.
 * runs: what the whole list is made of, in its order.
 * entry: which state dict was taken, where the file has several.
 */
export interface PlanReply {
  readonly path: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly n_model: number;
  readonly n_loads: number;
  readonly n_elements: number | string;
  readonly n_suggested: number;
  readonly n_renames: number;
  readonly is_exact: boolean;
  readonly is_complete: boolean;
  readonly has_optimizer: boolean;
  readonly warnings: readonly string[];
  readonly entry?: EntryBody;
  readonly runs: readonly Run[];
  readonly total: number;
  readonly start: number;
  readonly rows: readonly PlanRow[];
}

/**
 * Compare a checkpoint with the live model or, where `other` is a path, with another checkpoint.
 *
 * fresh: compare anew, though the same was compared before; without it a window of the last comparison comes.
 * keep: which kinds come, all of them where empty.
 * text: keeps the names that hold it.
 * start, count: the window; at most 500 rows come.
 * entry: which state dict of the files that have it; without it, the one that fits the other side best.
 * copy: all rows that come, whatever the window, as text too.
 */
export interface DiffBody {
  readonly model?: string;
  readonly path: string;
  readonly entry?: string | null;
  readonly other: string | null;
  readonly copy?: "markdown" | "csv";
  readonly fresh: boolean;
  readonly keep: readonly ("values" | "shape" | "dtype" | "added" | "removed" | "equal")[];
  readonly text: string;
  readonly start: number;
  readonly count: number;
}

/** One name. `shapes` and `dtypes`: on either side, empty where only one side has it or both are equal. */
export interface DiffRow {
  readonly path: string;
  readonly kind: "values" | "shape" | "dtype" | "added" | "removed" | "equal";
  readonly shapes: readonly (readonly number[])[];
  readonly dtypes: readonly string[];
  readonly max_abs_difference: number | string | null;
  readonly relative_norm: number | string | null;
  readonly n_different: number | string | null;
}

/**
 * A comparison at a glance, with a window of its rows, the greatest first. `a` and `b` name the sides.
 *
 * copied: what `copy` asked for.
 */
export interface DiffReply {
  readonly a: string;
  readonly b: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly is_equal: boolean;
  readonly total: number;
  readonly start: number;
  readonly rows: readonly DiffRow[];
  readonly copied?: string;
}

/**
 * Load, all or nothing; `entry`, `accept_all` and `rename` as in `plan`.
 *
 * strict: refuse where either side lacks a tensor of the other.
 * optimizer: load its state too.
 */
export interface LoadBody {
  readonly model?: string;
  readonly path: string;
  readonly entry?: string | null;
  readonly accept_all: boolean;
  readonly rename: Readonly<Record<string, string | null>>;
  readonly strict: boolean;
  readonly optimizer: boolean;
}

/** A load as it was carried out; where `verified`, every loaded tensor was compared with the file afterwards. */
export interface LoadReply {
  readonly path: string;
  readonly label: string;
  readonly n_loaded: number;
  readonly n_elements: number | string;
  readonly verified: boolean;
  readonly warnings: readonly string[];
}

/**
 * Save the model; the format follows the path: `.safetensors`, else torch's zip; a folder holds shards.
 *
 * overwrite: over what is there; without it that is refused as `file-exists`.
 * optimizer: its state beside the model.
 * shard_size: at most so many bytes a file.
 */
export interface SaveBody {
  readonly model?: string;
  readonly path: string;
  readonly overwrite: boolean;
  readonly verify: boolean;
  readonly optimizer: boolean;
  readonly shard_size?: number | string | null;
}

/** A save as it was carried out; where `verified`, read back and compared. `code` does it with torch alone. */
export interface SaveReply {
  readonly path: string;
  readonly paths: readonly string[];
  readonly n_tensors: number;
  readonly size_bytes: number | string;
  readonly digest: string;
  readonly verified: boolean;
  readonly seconds: number;
  readonly warnings: readonly string[];
  readonly code: string;
}

/** A target as a view over ranks has found it: its `paths`. */
export interface RankTarget {
  readonly model?: string;
  readonly path: string;
  readonly scope?: "here" | "fold" | "filter";
  readonly only?: "all" | "weights" | "vectors";
  readonly filter?: string;
  readonly chips?: readonly ("trainable" | "frozen" | "tied" | "findings" | "notes")[];
  readonly paths: readonly string[];
}

/**
 * What this process is asked of its model.
 *
 * ask: "tree" its structure, "stats" statistics of its share of each tensor at `paths`, "values" cells of the
 *     tensor at the first of them, "check" what it finds and fingerprints of its shares, "trace" one forward pass,
 *     begun when all ranks have come, "here" only whether it has the model, "history" what was done to it,
 *     "initializers" and "target" what can fill a target and which paths it means; "plan" and "diff" with a file;
 *     "save" its part, as all ranks do; "prepare" to make a change and set it aside, "renew" whether it has it still,
 *     "commit" to have it stay, "release" when all have, "revoke" to let it go.
 * full: whether "tree" gives the tree itself, not its fingerprint alone: on rank 0, or on all.
 * paths: the tensors that "stats" and "values" are of.
 * bins: whether "stats" counts elements per bin too; it does unless told.
 * window: for "values", `area`, first row, first column, rows and columns, and `steps`, rows and columns per cell.
 * inputs: what "trace" gives to the forward: `nnwidgets.distributed.inputs` makes it.
 * given: what "plan", "diff" and "save" are called with besides the model, made the same way.
 * patience: seconds that "trace" and "save" wait for the other ranks.
 * change: its `number`; for "prepare", the `function`, what it is `given` and the seconds `within` which the next
 *     question comes; for "commit", the seconds since "renew" `within` which it may come.
 * long: of "prepare", "plan", "diff" and "save", which may take long and are asked again until all have answered:
 *     the question's `number`, and the `seconds` after which a rank that is at it still answers so, and how far it
 *     is; null: when it is done. "call-off" has the rank end what is under way of that number.
 */
export interface RankBody {
  readonly model?: string;
  readonly ask: "here" | "tree" | "stats" | "values" | "check" | "trace" | "history" | "initializers" | "target" | "plan" | "diff" | "save" | "prepare" | "renew" | "commit" | "release" | "revoke" | "call-off";
  readonly full?: "" | "first" | "all";
  readonly paths?: readonly string[];
  readonly bins?: boolean;
  readonly window?: Readonly<Record<string, readonly number[]>>;
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly given?: Readonly<Record<string, unknown>>;
  readonly patience?: number;
  readonly change?: Readonly<Record<string, unknown>>;
  readonly long?: Readonly<Record<string, unknown>>;
  readonly target?: RankTarget;
}

/** What one rank says; `said` is for `nnwidgets` of the same `version` on the other side. */
export interface RankReply {
  readonly rank: number;
  readonly world_size: number;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly said: Readonly<Record<string, unknown>>;
}

/**
 * Run a forward, and a backward where there is a loss, as `forward` does; shown in every view of the model.
 *
 * Without inputs and size, on what the last run of the model took, where that is still there.
 *
 * loss: `none` for the forward alone; `noise` sends a standard-normal gradient back from the output; `target` computes
 *     the loss of the output and the tensor in the variable `target`: cross entropy where it holds integers, else the
 *     mean squared error.
 */
export interface ActivationsBody {
  readonly model?: string;
  readonly inputs?: readonly string[];
  readonly size?: string;
  readonly loss: "none" | "noise" | "target";
  readonly target?: string;
}

/**
 * One call, or several in a row, of which it is the one whose std is in the middle.
 *
 * at: its place among all calls of the run. path, call_index, class_name: what was called. shape, mean, std: of the
 *     first tensor of floating point that it gave. gradient: of the loss, its std there, None where none came.
 * zeros: share of values that are zero. saturated: share that lies where the module is flat, None where that isn't one
 *     that can be; the greatest of several calls. n_silent, n_units: units that are zero for all of the batch, of how
 *     many, where no gradient passes at zero and it isn't chance; silent: their share. Of several calls it is that
 *     with the greatest.
 * n_bad, n_bad_gradients: NaN and infinite elements, of several calls together.
 * n_calls: how many calls it stands for, where more than one; range, gradient_range: the least std and the greatest.
 */
export interface SignalPoint {
  readonly at: number;
  readonly path: string;
  readonly call_index: number;
  readonly class_name: string;
  readonly shape: string;
  readonly mean: number | string;
  readonly std: number | string;
  readonly gradient: number | string | null;
  readonly zeros: number;
  readonly saturated: number | null;
  readonly n_silent: number;
  readonly n_units: number;
  readonly silent: number;
  readonly n_bad: number | string;
  readonly n_bad_gradients: number | string;
  readonly n_calls?: number;
  readonly range?: readonly (number | string)[];
  readonly gradient_range?: readonly (number | string)[];
}

/**
 * The last run shown in this view, of the calls within a module that called nothing themselves.
 *
 * run: which it is, 0 where there was none. points: at most 200, in the order of the calls. n_calls: how many calls
 *     these are; n_all: of the whole model.
 * has_gradients: whether a gradient came anywhere. loss: what it was, where there was one.
 * failed_at, failed_in, error: where the forward, the loss or the backward raised, and what; None where nothing did.
 * findings: those about the module and what is within, worst first, at most 50; n_findings: how many there are.
 */
export interface SignalReply {
  readonly run: number;
  readonly points: readonly SignalPoint[];
  readonly n_calls: number;
  readonly n_all: number;
  readonly has_gradients: boolean;
  readonly loss: number | string | null;
  readonly failed_at: string | null;
  readonly failed_in: "forward" | "loss" | "backward" | null;
  readonly error: string | null;
  readonly findings: readonly FindingBody[];
  readonly n_findings: number;
}

/** A call of a run, by the run's number and its place among the run's calls. */
export interface SignalPointBody {
  readonly model?: string;
  readonly run: number;
  readonly at: number;
}

/**
 * Statistics of what a call gave and of the gradient there, with histograms.
 *
 * n_outputs: how many tensors of floating point it gave; these are of the first. Calls after the first 4,000 outputs
 *     and gradients have no histograms.
 */
export interface SignalPointReply {
  readonly path: string;
  readonly n_outputs: number;
  readonly values: StatsReply;
  readonly gradient: StatsReply | null;
}

/** What the last forward that was traced of this model took, in words; None where that is gone, or none was. */
export interface LastInputsReply {
  readonly inputs: string | null;
}

/** An initializer with its parameters, as for `init`; "" for the values as they are. */
export interface CandidateBody {
  readonly how: string;
  readonly kwargs?: Readonly<Record<string, number | string | boolean | null>>;
}

/**
 * Run candidates for a target on stand-ins, with three seeds from `seed` (0 by default) on; nothing is changed.
 *
 * inputs, size: as for `activations`.
 */
export interface CompareInitsBody {
  readonly model?: string;
  readonly path: string;
  readonly scope?: "here" | "fold" | "filter";
  readonly only?: "all" | "weights" | "vectors";
  readonly filter?: string;
  readonly chips?: readonly ("trainable" | "frozen" | "tied" | "findings" | "notes")[];
  readonly candidates: readonly CandidateBody[];
  readonly seed?: number | string | null;
  readonly inputs?: readonly string[];
  readonly size?: string;
}

/** A call that called nothing itself. */
export interface ComparedPoint {
  readonly path: string;
  readonly call_index: number;
  readonly class_name: string;
}

/**
 * What goes through the layers with one candidate.
 *
 * how, kwargs: as they were sent. verdict: what it does, in a sentence with its numbers. forward, backward: at each
 *     point the std over seeds as its mean, the lowest and the highest; None where nothing came. bad: the points where
 *     there were NaN or infinite values, in any call that they stand for. error: what a forward or a backward raised,
 *     or None.
 */
export interface Compared {
  readonly name: string;
  readonly how: string;
  readonly kwargs: Readonly<Record<string, number | string | boolean | null>>;
  readonly verdict: string;
  readonly forward: readonly (readonly (number | string)[] | null)[];
  readonly backward: readonly (readonly (number | string)[] | null)[];
  readonly bad: readonly number[];
  readonly error: string | null;
}

/**
 * Candidates side by side, at up to 200 points of `n_calls`; `init` with `seed` gives the first run's numbers.
 *
 * Where a point stands for several calls in a row it is the first of these, the last point the last call, with the
 * lowest and the highest of all.
 */
export interface CompareInitsReply {
  readonly points: readonly ComparedPoint[];
  readonly n_calls: number;
  readonly candidates: readonly Compared[];
  readonly verdict: string;
  readonly seed: number | string;
  readonly n_seeds: number;
}

export interface Bodies {
  readonly open: OpenBody;
  readonly rows: RowsBody;
  readonly locate: LocateBody;
  readonly inspect: InspectBody;
  readonly stats: StatsBody;
  readonly values: ValuesBody;
  readonly depth: PathBody;
  readonly ties: ModelBody;
  readonly findings: ModelBody;
  readonly trace: ModelBody;
  readonly graph: GraphBody;
  readonly table: TableBody;
  readonly mark: MarkBody;
  readonly forward: ForwardBody;
  readonly clear_trace: ModelBody;
  readonly tensors: ModelBody;
  readonly models: ModelBody;
  readonly variables: VariablesBody;
  readonly initializers: TargetBody;
  readonly preview: InitBody;
  readonly init: InitBody;
  readonly assign: AssignBody;
  readonly freeze: TargetBody;
  readonly unfreeze: TargetBody;
  readonly undo: UndoBody;
  readonly redo: UndoBody;
  readonly history: ModelBody;
  readonly code: CodeBody;
  readonly part: PartBody;
  readonly folder: FolderBody;
  readonly peek: PeekBody;
  readonly plan: PlanBody;
  readonly diff: DiffBody;
  readonly load: LoadBody;
  readonly save: SaveBody;
  readonly rank: RankBody;
  readonly activations: ActivationsBody;
  readonly signal: PathBody;
  readonly signal_point: SignalPointBody;
  readonly last_inputs: ModelBody;
  readonly compare_inits: CompareInitsBody;
  readonly cancel: CancelBody;
}

export interface Replies {
  readonly open: OpenReply;
  readonly rows: RowsReply;
  readonly locate: LocateReply;
  readonly inspect: InspectReply;
  readonly stats: StatsReply;
  readonly values: ValuesReply;
  readonly depth: DepthReply;
  readonly ties: TiesReply;
  readonly findings: FindingsReply;
  readonly trace: TraceReply;
  readonly graph: GraphReply;
  readonly table: TableReply;
  readonly mark: MarkReply;
  readonly forward: TraceReply;
  readonly clear_trace: ClearReply;
  readonly tensors: TensorsReply;
  readonly models: ModelsReply;
  readonly variables: VariablesReply;
  readonly initializers: InitializersReply;
  readonly preview: InitReply;
  readonly init: InitReply;
  readonly assign: ChangeReply;
  readonly freeze: ChangeReply;
  readonly unfreeze: ChangeReply;
  readonly undo: ChangeReply;
  readonly redo: ChangeReply;
  readonly history: HistoryReply;
  readonly code: CodeReply;
  readonly part: PartReply;
  readonly folder: FolderReply;
  readonly peek: PeekReply;
  readonly plan: PlanReply;
  readonly diff: DiffReply;
  readonly load: LoadReply;
  readonly save: SaveReply;
  readonly rank: RankReply;
  readonly activations: SignalReply;
  readonly signal: SignalReply;
  readonly signal_point: SignalPointReply;
  readonly last_inputs: LastInputsReply;
  readonly compare_inits: CompareInitsReply;
  readonly cancel: CancelReply;
}

export type Kind = keyof Bodies;
