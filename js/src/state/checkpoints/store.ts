import { word } from "../../i18n/translate.ts";
import { type PageError, toPageError } from "../../lib/errors.ts";
import type { Client } from "../../protocol/client.ts";
import type {
  DiffBody,
  Difference,
  DiffReply,
  DiffRow,
  FolderReply,
  LoadReply,
  PeekReply,
  PlanReply,
  PlanRow,
  SaveBody,
  SaveReply,
  Status,
  StoredRow,
} from "../../protocol/messages.ts";
import type { ChangesStore } from "../changesStore.ts";
import { PagedList } from "./pagedList.ts";
import { NOT_BEGUN, type ProgressRate, updateRate } from "./progressRate.ts";
import { acceptAllRenames, NO_RENAMES, type Renames } from "./renames.ts";

export type Tab = "plan" | "contents" | "diff";

/** What takes a while, and can be cancelled. */
export interface Work {
  readonly what: "load" | "save" | "diff";
  readonly progress: ProgressRate;
  readonly isCancelling: boolean;
}

/** How the last piece of work ended, shown where it was asked for. */
export type Outcome =
  | { readonly what: "load"; readonly path: string; readonly reply: LoadReply }
  | { readonly what: "save"; readonly path: string; readonly reply: SaveReply }
  | { readonly what: "cancelled"; readonly of: Work["what"] }
  | { readonly what: "failed"; readonly of: Work["what"]; readonly error: PageError };

/** What the user has asked for. */
export interface Asked {
  readonly folder: string;
  /** A file or folder looked into. */
  readonly path: string | null;
  readonly tab: Tab;
  /** Which state dict of the file; null for the one that fits best. */
  readonly entry: string | null;
  readonly text: string;
  readonly statuses: readonly Status[];
  readonly kinds: readonly Difference[];
  readonly renames: Renames;
  readonly other: string | null;
  readonly expanded: readonly string[] | null;
  readonly isStrict: boolean;
  readonly withOptimizer: boolean;
}

const NOTHING: Asked = {
  folder: "",
  path: null,
  tab: "plan",
  entry: null,
  text: "",
  statuses: [],
  kinds: [],
  renames: NO_RENAMES,
  other: null,
  expanded: null,
  isStrict: true,
  withOptimizer: false,
};

/** Holds what the panel shows and does, one piece of work at a time. */
export class CheckpointsStore {
  readonly #client: Client;
  readonly #changes: ChangesStore;
  readonly #listeners = new Set<() => void>();
  #asked: Asked;
  #listing: AbortController | null = null;
  #stop: AbortController | null = null;
  #isFresh = true;
  folder: FolderReply | null = null;
  folderError: PageError | null = null;
  /** Whether files that are no checkpoints are listed too. */
  showsAll = false;
  work: Work | null = null;
  outcome: Outcome | null = null;
  /** Paths that this view has loaded or saved, and how they were found to be; gone when the file has changed. */
  readonly badges = new Map<string, { readonly word: string; readonly modified: number | null }>();
  /** Of files that were looked into and hold a model and an optimizer's state: when they were written. */
  readonly withOptimizer = new Map<string, number | null>();
  readonly contents: PagedList<PeekReply, StoredRow>;
  readonly plan: PagedList<PlanReply, PlanRow>;
  readonly diff: PagedList<DiffReply, DiffRow>;

  constructor(client: Client, changes: ChangesStore, asked = NOTHING) {
    this.#asked = asked;
    this.#client = client;
    this.#changes = changes;
    const tell = (): void => this.#notify();
    this.contents = new PagedList((start, count, signal) => this.#askContents(start, count, signal), tell);
    this.plan = new PagedList((start, count, signal) => this.#askPlan(start, count, signal), tell);
    this.diff = new PagedList((start, count, signal) => this.#askDiff(start, count, signal), tell);
  }

  get asked(): Asked {
    return this.#asked;
  }

  get isListing(): boolean {
    return this.#listing !== null;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispose(): void {
    this.#listing?.abort();
    this.#stop?.abort();
    this.contents.stop();
    this.plan.stop();
    this.diff.stop();
    this.#listeners.clear();
  }

  // ---- the folder ----

  /** Reads a folder, the one in sight where none is named. */
  async list(path = this.#asked.folder): Promise<void> {
    this.#listing?.abort();
    const listing = new AbortController();
    this.#listing = listing;
    this.#notify();
    try {
      const { body } = await this.#client.request(
        "folder",
        { path, checkpoints_only: !this.showsAll },
        { signal: listing.signal },
      );
      if (this.#listing === listing) {
        this.folder = body;
        this.folderError = null;
        this.#asked = { ...this.#asked, folder: body.path };
        this.#dropOldBadges(body);
      }
    } catch (error) {
      if (this.#listing === listing) {
        this.folderError = toPageError(error);
      }
    } finally {
      if (this.#listing === listing) {
        this.#listing = null;
      }
      this.#notify();
    }
  }

  // ---- one file ----

  /** Lists files that are no checkpoints, or leaves them out. */
  showAll(isOn: boolean): void {
    this.showsAll = isOn;
    void this.list();
  }

  /** Looks into a file, or into the folder in sight as one checkpoint. */
  async open(path: string): Promise<void> {
    if (this.work !== null) {
      return;
    }
    const { folder, tab, isStrict } = this.#asked;
    this.#asked = { ...NOTHING, folder, tab, isStrict, path };
    this.#isFresh = true;
    this.outcome = null;
    this.contents.clear();
    this.plan.clear();
    this.diff.clear();
    await this.#look();
  }

  /** Begins with what was asked for where the panel was drawn before. */
  async resume(): Promise<void> {
    void this.list();
    if (this.#asked.path !== null) {
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    if (!(await this.contents.restart())) {
      return;
    }
    const hasNames = this.contents.reply?.state_dict !== null;
    const entry = this.folder?.entries.find(({ path }) => path === this.#asked.path);
    if (entry !== undefined && hasNames && this.contents.reply?.optimizer !== null) {
      this.withOptimizer.set(entry.path, entry.modified);
    }
    if (!hasNames) {
      this.#asked = { ...this.#asked, tab: "contents" };
    } else {
      await this.plan.restart();
    }
    this.#notify();
  }

  /** Plans, loads and compares another state dict of the file. */
  async chooseEntry(entry: string | null): Promise<void> {
    this.#asked = { ...this.#asked, entry, renames: NO_RENAMES, statuses: [], kinds: [] };
    this.#isFresh = true;
    this.outcome = null;
    this.diff.clear();
    await this.plan.restart();
    this.#notify();
  }

  show(tab: Tab): void {
    this.#asked = { ...this.#asked, tab, text: "" };
    this.#restart();
  }

  search(text: string): void {
    this.#asked = { ...this.#asked, text };
    this.#restart();
  }

  toggleStatus(status: Status): void {
    this.#asked = { ...this.#asked, statuses: toggle(this.#asked.statuses, status) };
    void this.plan.restart();
  }

  toggleKind(kind: Difference): void {
    this.#asked = { ...this.#asked, kinds: toggle(this.#asked.kinds, kind) };
    void this.diff.restart();
  }

  setOpen(id: string, isOpen: boolean): void {
    const now = this.contents.reply?.expanded ?? [];
    this.#asked = { ...this.#asked, expanded: isOpen ? [...now, id] : now.filter((each) => each !== id) };
    void this.contents.restart();
  }

  // ---- the plan ----

  /** Plans with other renames; what the kernel objects to is thrown, and the plan stays as it was. */
  async rename(renames: Renames): Promise<void> {
    const before = this.#asked;
    this.#asked = { ...before, renames };
    this.outcome = null;
    if (!(await this.plan.restart()) && this.#asked.renames === renames && this.plan.error !== null) {
      const error = this.plan.error;
      this.#asked = { ...this.#asked, renames: before.renames };
      await this.plan.restart();
      throw error;
    }
  }

  acceptAll(): Promise<void> {
    return this.rename(acceptAllRenames(this.#asked.renames));
  }

  setStrict(isStrict: boolean): void {
    this.#asked = { ...this.#asked, isStrict };
    this.#notify();
  }

  setOptimizer(withOptimizer: boolean): void {
    this.#asked = { ...this.#asked, withOptimizer };
    this.#notify();
  }

  /** The model has changed: the plan may be another one. */
  refresh(): void {
    if (this.#asked.path !== null && this.plan.reply !== null && this.work === null) {
      void this.plan.restart();
    }
  }

  // ---- work ----

  async load(): Promise<void> {
    const { path, entry, renames, isStrict, withOptimizer } = this.#asked;
    if (path === null) {
      return;
    }
    const reply = await this.#run("load", (signal, onProgress) =>
      this.#client.request(
        "load",
        {
          ...{ path, entry, accept_all: renames.acceptAll, rename: renames.byName },
          ...{ strict: isStrict, optimizer: withOptimizer },
        },
        { signal, onProgress, awaitsEnd: true },
      ),
    );
    if (reply !== null) {
      this.#finish({ what: "load", path, reply }, path, reply.verified ? word("loaded, verified") : word("loaded"));
    }
  }

  /** Saves; false where something is there already and may not be replaced without asking. */
  async save(body: SaveBody): Promise<boolean> {
    let isTaken = false;
    const reply = await this.#run("save", async (signal, onProgress) => {
      try {
        return await this.#client.request("save", body, { signal, onProgress, awaitsEnd: true });
      } catch (error) {
        isTaken = toPageError(error).code === "file-exists";
        throw error;
      }
    });
    if (isTaken) {
      this.outcome = null;
      this.#notify();
      return false;
    }
    if (reply !== null) {
      this.#finish(
        { what: "save", path: body.path, reply },
        body.path,
        reply.verified ? word("saved, verified") : word("saved"),
      );
      await this.list();
    }
    return true;
  }

  /** Compares the file with the live model, or with another file; reads the whole of both. */
  async compare(other: string | null): Promise<void> {
    this.#asked = { ...this.#asked, other, kinds: [], text: "" };
    this.#isFresh = true;
    this.diff.clear();
    await this.#run("diff", async () => {
      if (!(await this.diff.restart())) {
        throw this.diff.error ?? new DOMException("The comparison was cancelled.", "AbortError");
      }
      return { body: true };
    });
    this.#isFresh = false;
  }

  /** Stops what is under way; a load or save then leaves everything as it was, unless it was done already. */
  cancel(): void {
    if (this.work !== null) {
      this.work = { ...this.work, isCancelling: true };
      this.#stop?.abort();
      if (this.work.what === "diff") {
        this.diff.stop();
      }
      this.#notify();
    }
  }

  dismiss(): void {
    this.outcome = null;
    this.#notify();
  }

  // ---- asking ----

  async #run<Reply>(
    what: Work["what"],
    make: (signal: AbortSignal, onProgress: (done: number, total: number) => void) => Promise<{ body: Reply }>,
  ): Promise<Reply | null> {
    if (this.work !== null || this.#changes.state.isBusy) {
      return null;
    }
    const stop = new AbortController();
    this.#stop = stop;
    this.work = { what, progress: NOT_BEGUN, isCancelling: false };
    this.outcome = null;
    this.#notify();
    if (what === "load") {
      this.#changes.dispatch({ type: "began" });
    }
    try {
      return (await make(stop.signal, (done, total) => this.#onProgress(done, total))).body;
    } catch (caught) {
      const error = toPageError(caught);
      const wasCancelled = stop.signal.aborted || error.code === "cancelled";
      this.outcome = wasCancelled ? { what: "cancelled", of: what } : { what: "failed", of: what, error };
      return null;
    } finally {
      this.work = null;
      this.#stop = null;
      if (what === "load") {
        this.#changes.dispatch({ type: "ended" });
        void this.#changes.load();
      }
      this.#notify();
    }
  }

  #onProgress(done: number, total: number): void {
    if (this.work !== null) {
      this.work = { ...this.work, progress: updateRate(this.work.progress, done, total, performance.now() / 1000) };
      this.#notify();
    }
  }

  #finish(outcome: Outcome, path: string, word: string): void {
    this.outcome = outcome;
    const entry = this.folder?.entries.find((each) => each.path === path);
    this.badges.set(path, { word, modified: outcome.what === "save" ? null : (entry?.modified ?? null) });
    this.#notify();
  }

  #dropOldBadges(folder: FolderReply): void {
    for (const { path, modified } of folder.entries) {
      const badge = this.badges.get(path);
      if (badge?.modified === null) {
        this.badges.set(path, { ...badge, modified });
      } else if (badge !== undefined && badge.modified !== modified) {
        this.badges.delete(path);
      }
    }
  }

  #restart(): void {
    const { tab } = this.#asked;
    if (tab === "plan") {
      void this.plan.restart();
    } else if (tab === "contents") {
      void this.contents.restart();
    } else if (this.diff.reply !== null) {
      void this.diff.restart();
    }
    this.#notify();
  }

  async #askContents(start: number, count: number, signal: AbortSignal): Promise<PeekReply> {
    const { path, expanded, text, tab } = this.#asked;
    const body = { path: path ?? "", expanded, text: tab === "contents" ? text : "", start, count };
    return (await this.#client.request("peek", body, { signal })).body;
  }

  async #askPlan(start: number, count: number, signal: AbortSignal): Promise<PlanReply> {
    const { path, entry, renames, statuses, text, tab } = this.#asked;
    const names = { entry, accept_all: renames.acceptAll, rename: renames.byName };
    const body = { path: path ?? "", ...names, keep: statuses, text: tab === "plan" ? text : "", start, count };
    return (await this.#client.request("plan", body, { signal })).body;
  }

  /** All differences that are kept, as a table. */
  async copyDiff(copy: "markdown" | "csv"): Promise<string> {
    const body = { ...this.#diffBody(0, 0), fresh: false, copy };
    return (await this.#client.request("diff", body)).body.copied ?? "";
  }

  #diffBody(start: number, count: number): DiffBody {
    const { path, entry, other, kinds, text, tab } = this.#asked;
    const found = { keep: kinds, text: tab === "diff" ? text : "", start, count };
    return { path: path ?? "", entry, other, fresh: this.#isFresh, ...found };
  }

  async #askDiff(start: number, count: number, signal: AbortSignal): Promise<DiffReply> {
    const body = this.#diffBody(start, count);
    const onProgress = (done: number, total: number): void => this.#onProgress(done, total);
    return (await this.#client.request("diff", body, { signal, onProgress })).body;
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }
}

function toggle<Item>(items: readonly Item[], item: Item): readonly Item[] {
  return items.includes(item) ? items.filter((each) => each !== item) : [...items, item];
}
