import { t, told } from "../../i18n/translate.ts";
import { bytesText, countText, exactBytes, exactCount } from "../../lib/format.ts";
import type { Pair, PeekReply } from "../../protocol/messages.ts";
import { formatWords } from "../../state/checkpoints/fileNames.ts";
import type { CheckpointsStore } from "../../state/checkpoints/store.ts";
import { shortDtype } from "./statusLabels.tsx";

const FIRST_PAIRS = 6;

/** What the header of the file in sight says, in a few figures; its departures and its text. */
export function Header({ store }: { readonly store: CheckpointsStore }) {
  const { reply } = store.contents;
  if (reply === null || store.asked.path === null) {
    return null;
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable.
    <section class="nnw-header" aria-label={t("Header")} tabIndex={0}>
      <h3>
        {t("Header")} <span class="nnw-dim">{t("no tensor data read")}</span>
      </h3>
      <dl>
        <Fact label={t("tensors")} title={t("{0} {0|element|elements}", exactCount(reply.n_elements))}>
          {exactCount(reply.n_tensors)}
        </Fact>
        <Fact label={t("elements")} title={exactCount(reply.n_elements)}>
          {countText(reply.n_elements)}
        </Fact>
        <Fact label={t("types")} title={dtypeTitle(reply)}>
          {dtypeText(reply)}
        </Fact>
        <Fact label={t("format")}>{t(formatWords(reply.format))}</Fact>
        <Fact
          label={reply.n_files === 1 ? t("size") : t("size of {0} files", reply.n_files)}
          title={exactBytes(reply.size_bytes)}
        >
          {bytesText(reply.size_bytes)}
        </Fact>
        <Fact label={t("tied names")}>
          {reply.n_ties === 0 ? t("none") : t("{0} {0|group|groups}", exactCount(reply.n_ties))}
        </Fact>
        {reply.state_dict ? <Fact label={t("state dict at")}>{reply.state_dict}</Fact> : null}
        {reply.optimizer === null ? null : <Fact label={t("optimizer at")}>{reply.optimizer}</Fact>}
      </dl>
      <Departures departures={reply.departures} />
      <Pairs label={t("Values")} pairs={reply.values} />
      <Pairs label={t("Metadata")} pairs={reply.metadata} isFolded={reply.format === "torch-zip"} />
    </section>
  );
}

interface FactProps {
  readonly label: string;
  readonly title?: string;
  readonly children: string;
}

function Fact({ label, title, children }: FactProps) {
  return (
    <div title={title ?? children}>
      <dt>{label}</dt>
      <dd>
        <bdi>{children}</bdi>
      </dd>
    </div>
  );
}

function dtypeText({ dtypes }: PeekReply): string {
  const names = Object.keys(dtypes);
  return names.length === 0 ? t("none") : names.map(shortDtype).join(", ");
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
        {t("{0} {0|departure|departures} from the format", exactCount(departures.length))}
      </summary>
      <ul>
        {departures.map((each) => (
          <li key={each}>
            <bdi>{told(each)}</bdi>
          </li>
        ))}
      </ul>
    </details>
  );
}

interface PairsProps {
  readonly label: string;
  readonly pairs: readonly Pair[];
  /** What torch says of its own archive tells little of the checkpoint. */
  readonly isFolded?: boolean;
}

function Pairs({ label, pairs, isFolded = false }: PairsProps) {
  return pairs.length === 0 ? null : (
    <details open={!isFolded && pairs.length <= FIRST_PAIRS}>
      <summary>
        {label} <span class="nnw-dim">{exactCount(pairs.length)}</span>
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
