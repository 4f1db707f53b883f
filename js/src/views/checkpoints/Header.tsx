import { bytesText, countText, exactBytes, exactCount } from "../../lib/format.ts";
import type { Pair, PeekReply } from "../../protocol/messages.ts";
import { formatWords } from "../../state/checkpoints/fileNames.ts";
import type { CheckpointsStore } from "../../state/checkpoints/store.ts";
import { shortDtype } from "./words.tsx";

const FIRST_PAIRS = 6;

/** What the header of the file in sight says, in a few figures; its departures and its text. */
export function Header({ store }: { readonly store: CheckpointsStore }) {
  const { reply } = store.contents;
  if (reply === null || store.asked.path === null) {
    return null;
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable.
    <section class="nnw-header" aria-label="Header" tabIndex={0}>
      <h3>
        Header <span class="nnw-dim">no tensor data read</span>
      </h3>
      <dl>
        <Fact word="tensors" title={`${exactCount(reply.n_elements)} elements`}>
          {exactCount(reply.n_tensors)}
        </Fact>
        <Fact word="elements" title={exactCount(reply.n_elements)}>
          {countText(reply.n_elements)}
        </Fact>
        <Fact word="types" title={dtypeTitle(reply)}>
          {dtypeText(reply)}
        </Fact>
        <Fact word="format">{formatWords(reply.format)}</Fact>
        <Fact
          word={reply.n_files === 1 ? "size" : `size of ${reply.n_files} files`}
          title={exactBytes(reply.size_bytes)}
        >
          {bytesText(reply.size_bytes)}
        </Fact>
        <Fact word="tied names">{reply.n_ties === 0 ? "none" : `${exactCount(reply.n_ties)} groups`}</Fact>
        {reply.state_dict ? <Fact word="state dict at">{reply.state_dict}</Fact> : null}
        {reply.optimizer === null ? null : <Fact word="optimizer at">{reply.optimizer}</Fact>}
      </dl>
      <Departures departures={reply.departures} />
      <Pairs word="Metadata" pairs={reply.metadata} />
      <Pairs word="Values" pairs={reply.values} />
    </section>
  );
}

interface FactProps {
  readonly word: string;
  readonly title?: string;
  readonly children: string;
}

function Fact({ word, title, children }: FactProps) {
  return (
    <div title={title ?? children}>
      <dt>{word}</dt>
      <dd>
        <bdi>{children}</bdi>
      </dd>
    </div>
  );
}

function dtypeText({ dtypes }: PeekReply): string {
  const names = Object.keys(dtypes);
  return names.length === 0 ? "none" : names.map(shortDtype).join(", ");
}

function dtypeTitle({ dtypes }: PeekReply): string {
  return Object.entries(dtypes)
    .map(([dtype, n]) => `${exactCount(n)} ${dtype}`)
    .join(", ");
}

function Departures({ departures }: { readonly departures: readonly string[] }) {
  return departures.length === 0 ? null : (
    <details>
      <summary class="nnw-warn">
        {exactCount(departures.length)} {departures.length === 1 ? "departure" : "departures"} from the format
      </summary>
      <ul>
        {departures.map((each) => (
          <li key={each}>
            <bdi>{each}</bdi>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Pairs({ word, pairs }: { readonly word: string; readonly pairs: readonly Pair[] }) {
  return pairs.length === 0 ? null : (
    <details open={pairs.length <= FIRST_PAIRS}>
      <summary>
        {word} <span class="nnw-dim">{exactCount(pairs.length)}</span>
      </summary>
      <table class="nnw-pairs">
        <tbody>
          {pairs.map(({ name, value }) => (
            <tr key={name}>
              <th scope="row" title={name}>
                <bdi>{name}</bdi>
              </th>
              <td title={value}>
                <bdi>{value}</bdi>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
