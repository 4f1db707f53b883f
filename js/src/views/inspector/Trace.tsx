import { Note } from "../../components/Note.tsx";
import { PathLink } from "../../components/PathText.tsx";
import { t, tx } from "../../i18n/translate.ts";
import { countText, exactCount, exactFloat, flopsText, secondsText, shapeText } from "../../lib/format.ts";
import type { TraceCallBody, TraceReply } from "../../protocol/messages.ts";

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
            <th scope="col">{withPath ? t("Module, input → output") : t("Input → output")}</th>
            <th scope="col">{t("Time")}</th>
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
          {t(
            "The first {0} of {1} {1|call|calls}. Select a module for its own.",
            exactCount(shown.length),
            countText(calls.length),
          )}
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
            {call.call_index > 0 ? <span class="nnw-dim">{t("call {0}", exactCount(call.call_index + 1))}</span> : null}
          </div>
        ) : null}
        <div class={withPath ? "nnw-dim" : undefined} title={typesText(call)}>
          {shapesText(call.input_shapes)} → {hasFailed ? <span class="nnw-err">{t("failed")}</span> : outputText(call)}
        </div>
      </th>
      <td title={call.seconds === null ? undefined : `${exactFloat(call.seconds)} s`}>
        {call.seconds === null ? "–" : secondsText(call.seconds)}
      </td>
      <td title={call.flops === null ? t("Not known for this module") : exactCount(call.flops)}>
        {call.flops === null ? "–" : flopsText(call.flops)}
      </td>
    </tr>
  );
}

/** A call without a time never returned. */
function outputText(call: TraceCallBody): string {
  return call.seconds === null && call.output_shapes.length === 0 ? t("no result") : shapesText(call.output_shapes);
}

function shapesText(shapes: readonly (readonly number[])[]): string {
  return shapes.length === 0 ? "–" : shapes.map(shapeText).join(", ");
}

function typesText({ input_dtypes, output_dtypes }: TraceCallBody): string {
  return `${input_dtypes.join(", ") || t("no tensors")} → ${output_dtypes.join(", ") || t("no tensors")}`;
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
        {tx("{0} {1|call|calls}", <b>{countText(reply.n_calls)}</b>, reply.n_calls)} ·{" "}
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
            {failed_at === null ? (
              <b>{t("Forward failed")}</b>
            ) : (
              tx(
                "{0} in {1}",
                <b>{t("Forward failed")}</b>,
                <PathLink path={failed_at} onNavigate={onNavigate} alive={alive} />,
              )
            )}
          </p>
          <p>{error}</p>
        </Note>
      )}
      {unused.length === 0 ? null : (
        <section class="nnw-section" aria-label={t("Never called")}>
          <div class="nnw-section-line">
            <h3>{t("Never called")}</h3>
            <span class="nnw-caption">{t("{0} registered {0|module|modules}", exactCount(unused.length))}</span>
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
