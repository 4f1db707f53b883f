import { describe, expect, test } from "vitest";
import type { InitReply } from "../../src/protocol/messages.ts";
import { ChangesStore, NO_CHANGES, reduceChanges } from "../../src/state/changesStore.ts";
import { historyReply } from "../fakes/editReplies.ts";
import { settle, TestClient } from "../fakes/inspectorClient.ts";

describe("changes", () => {
  const applied = { type: "applied", key: "k", reply: {} as InitReply } as const;

  test("what was applied shows until it is taken back", () => {
    const state = reduceChanges(NO_CHANGES, applied);
    expect(state.applied?.key).toBe("k");
    expect(reduceChanges(state, { type: "turned" }).applied).toBeNull();
  });

  test("the next step ends a question and a complaint", () => {
    const asked = reduceChanges(NO_CHANGES, { type: "asked", turn: "undo", path: "0.bias" });
    expect(reduceChanges(asked, { type: "began" })).toMatchObject({ question: null, isBusy: true });
    expect(reduceChanges(asked, { type: "dismissed" }).question).toBeNull();
  });

  test("undo over what other code wrote becomes a question, and forced it is carried out", async () => {
    const client = new TestClient().answer("history", () => historyReply());
    const store = new ChangesStore(client);
    const undone = store.turn("undo");
    await client
      .of("undo")[0]
      ?.fail({ code: "changed-since", message: "0.bias was changed by other code", hint: "", path: "0.bias" });
    await undone;
    expect(store.state).toMatchObject({ question: { turn: "undo", path: "0.bias" }, error: null, isBusy: false });
    const forced = store.turn("undo", true);
    expect(client.of("undo")[1]?.body).toEqual({ force: true });
    await client.of("undo")[1]?.reply({ label: "zeros_", paths: [], n_paths: 0, seed: null, warnings: [] });
    await forced;
    expect(store.state.question).toBeNull();
  });

  test("any other refusal is told with what to do", async () => {
    const client = new TestClient()
      .answer("history", () => historyReply())
      .refuse("freeze", "invalid-target", "It is no parameter.", "Name one.");
    const store = new ChangesStore(client);
    await store.freeze({ path: "x" }, false);
    expect(store.state.error).toMatchObject({ message: "It is no parameter.", hint: "Name one." });
  });

  test("a log asked for while it is being read is read once more", async () => {
    const client = new TestClient();
    const store = new ChangesStore(client);
    void store.load();
    void store.load();
    void store.load();
    expect(client.of("history")).toHaveLength(1);
    await client.of("history")[0]?.reply(historyReply());
    expect(client.of("history")).toHaveLength(2);
    await client.of("history")[1]?.reply(historyReply({ n_changes: 5 }));
    await settle();
    expect(client.of("history")).toHaveLength(2);
    expect(store.state.history?.n_changes).toBe(5);
  });
});
