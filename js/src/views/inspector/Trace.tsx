import { countText, exactCount, exactFloat, flopsText, secondsText, shapeText } from "../../lib/format.ts";
import type { TraceCallBody, TraceReply } from "../../protocol/messages.ts";
import { Note } from "./Note.tsx";
import { PathLink } from "./PathText.tsx";

interface CallsProps {
  readonly calls: readonly TraceCallBody[];
  /** Calls of several modules say which. */
  readonly withPath: boolean;
  readonly failedAt: string | null;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** A longer list is cut: the tree leads to the calls of each module. */
const FIRST_CALLS = 200;

/** Calls of a forward pass: shapes in and out, time, arithmetic. */
export function Calls({ calls, withPath, failedAt, alive, onNavigate }: CallsProps) {
  const shown = calls.slice(0, FIRST_CALLS);
  return (
    <>
      <table class="nnw-calls">
        <thead>
          <tr>
            <th scope="col">{withPath ? "Module, input → output" : "Input → output"}</th>
            <th scope="col">Time</th>
            <th scope="col">FLOPs</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((call) => (
            <Call
              key={`${call.path} ${call.call_index}`}
              {...{ call, withPath, alive, onNavigate }}
              hasFailed={call.path === failedAt && call.seconds === null}
            />
          ))}
        </tbody>
      </table>
      {calls.length > shown.length ? (
        <p class="nnw-dim nnw-quiet">
          The first {exactCount(shown.length)} of {countText(calls.length)} calls. Select a module for its own.
        </p>
      ) : null}
    </>
  );
}

interface CallProps {
  readonly call: TraceCallBody;
  readonly withPath: boolean;
  readonly hasFailed: boolean;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

function Call({ call, withPath, hasFailed, alive, onNavigate }: CallProps) {
  return (
    <tr>
      <th scope="row" style={withPath ? { paddingInlineStart: `${Math.min(call.depth, 8) * 8}px` } : undefined}>
        {withPath ? (
          <div class="nnw-call-path">
            <PathLink path={call.path} onNavigate={onNavigate} alive={alive} />
            {call.call_index > 0 ? <span class="nnw-dim">call {exactCount(call.call_index + 1)}</span> : null}
          </div>
        ) : null}
        <div class={withPath ? "nnw-dim" : undefined} title={typesText(call)}>
          {shapesText(call.input_shapes)} → {hasFailed ? <span class="nnw-err">failed</span> : outputText(call)}
        </div>
      </th>
      <td title={call.seconds === null ? undefined : `${exactFloat(call.seconds)} s`}>
        {call.seconds === null ? "–" : secondsText(call.seconds)}
      </td>
      <td title={call.flops === null ? "Not known for this module" : exactCount(call.flops)}>
        {call.flops === null ? "–" : flopsText(call.flops)}
      </td>
    </tr>
  );
}

/** A call without a time never returned. */
function outputText(call: TraceCallBody): string {
  return call.seconds === null && call.output_shapes.length === 0 ? "no result" : shapesText(call.output_shapes);
}

function shapesText(shapes: readonly (readonly number[])[]): string {
  return shapes.length === 0 ? "–" : shapes.map(shapeText).join(", ");
}

function typesText({ input_dtypes, output_dtypes }: TraceCallBody): string {
  return `${input_dtypes.join(", ") || "no tensors"} → ${output_dtypes.join(", ") || "no tensors"}`;
}

interface WholeTraceProps {
  readonly reply: TraceReply;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

/** The model's last traced forward pass: its totals, where it failed, what it never called, call by call. */
export function WholeTrace({ reply, alive, onNavigate }: WholeTraceProps) {
  const { calls, failed_at, error, unused } = reply;
  return (
    <>
      <p class="nnw-trace-total">
        <b>{countText(reply.n_calls)}</b> {Number(reply.n_calls) === 1 ? "call" : "calls"} ·{" "}
        <b>{secondsText(reply.seconds)}</b>
        {reply.flops === null ? null : (
          <>
            {" · "}
            <b title={exactCount(reply.flops)}>{flopsText(reply.flops)}</b>
          </>
        )}
      </p>
      {failed_at === null && error === null ? null : (
        <Note kind="error">
          <p>
            <b>Forward failed</b>
            {failed_at === null ? null : (
              <>
                {" in "}
                <PathLink path={failed_at} onNavigate={onNavigate} alive={alive} />
              </>
            )}
          </p>
          <p>{error}</p>
        </Note>
      )}
      {unused.length === 0 ? null : (
        <section class="nnw-section" aria-label="Never called">
          <div class="nnw-section-line">
            <h3>Never called</h3>
            <span class="nnw-caption">
              {exactCount(unused.length)} registered {unused.length === 1 ? "module" : "modules"}
            </span>
          </div>
          <ul class="nnw-unused">
            {unused.slice(0, FIRST_CALLS).map((path) => (
              <li key={path}>
                <PathLink path={path} onNavigate={onNavigate} alive={alive} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <Calls calls={calls} withPath failedAt={failed_at} alive={alive} onNavigate={onNavigate} />
    </>
  );
}
