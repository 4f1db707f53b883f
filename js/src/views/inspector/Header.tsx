import type { ComponentChildren } from "preact";
import { CopyButton } from "../../components/CopyButton.tsx";
import { Icon } from "../../components/Icon.tsx";
import { PathText } from "../../components/PathText.tsx";
import { TieBadge } from "../../components/TieBadge.tsx";
import { t, word } from "../../i18n/translate.ts";
import { bytesText, countText, exactBytes, exactCount, shapeText } from "../../lib/format.ts";
import type { InspectReply, ModuleFacts, TensorFacts } from "../../protocol/messages.ts";
import { FreezeButton } from "../edit/FreezeButton.tsx";

interface HeadProps {
  readonly path: string;
  /** What is known of this path or, while its facts load, of the one before. */
  readonly reply: InspectReply | null;
  readonly isCurrent: boolean;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
  readonly headingId: string;
}

/** Which thing this is: its path, the way to its neighbours in the fold, and one line of facts. */
export function Header({ path, reply, isCurrent, alive, onNavigate, headingId }: HeadProps) {
  const own = isCurrent ? reply : null;
  const access = own?.code[0]?.code;
  const root = access ?? own?.class_name ?? t("model");
  return (
    <header class="nnw-title">
      <div class="nnw-title-line">
        <h2 id={headingId}>
          <PathText path={path} root={root} />
        </h2>
        {access === undefined ? null : <CopyButton text={access} label={t("Copy {0}", access)} />}
        <span class="nnw-space" />
        {own?.siblings ? (
          <FoldSteps siblings={own.siblings} isTensor={own.tensor !== null} alive={alive} onNavigate={onNavigate} />
        ) : null}
      </div>
      <div class={`nnw-facts${isCurrent ? "" : " nnw-stale"}`}>
        {reply === null ? "\u00a0" : <Facts reply={reply} />}
      </div>
    </header>
  );
}

interface FoldStepsProps {
  readonly siblings: NonNullable<InspectReply["siblings"]>;
  readonly isTensor: boolean;
  readonly alive: boolean;
  readonly onNavigate: (path: string) => void;
}

function FoldSteps({ siblings, isTensor, alive, onNavigate }: FoldStepsProps) {
  const step = (to: string | null, icon: "previous" | "next", key: string) => {
    const label = isTensor
      ? t(icon === "next" ? "Same tensor in the next member ({0})" : "Same tensor in the previous member ({0})", key)
      : t(icon === "next" ? "The next member ({0})" : "The previous member ({0})", key);
    return (
      <button
        type="button"
        class="nnw-icon-button"
        aria-label={label}
        aria-keyshortcuts={key}
        title={label}
        disabled={to === null || !alive}
        onClick={() => to !== null && onNavigate(to)}
      >
        <Icon name={icon === "next" ? "chevron" : "back"} />
      </button>
    );
  };
  return (
    <>
      {step(siblings.previous, "previous", "[")}
      <span class="nnw-fold-label" title={t("{0} of {1}", siblings.index + 1, exactCount(siblings.count))}>
        <bdi>{siblings.label}</bdi>
      </span>
      {step(siblings.next, "next", "]")}
    </>
  );
}

/** More tie groups than this are in their tab. */
const MOST_BADGES = 4;

function Facts({ reply }: { readonly reply: InspectReply }) {
  return (
    <>
      {reply.tie === null ? null : <TieBadge letter={reply.tie.id} />}
      {reply.ties_inside.slice(0, MOST_BADGES).map((tie) => (
        <TieBadge key={tie.id} letter={tie.id} isInside />
      ))}
      {reply.ties_inside.length > MOST_BADGES ? <span>+{reply.ties_inside.length - MOST_BADGES}</span> : null}
      {reply.tensor === null ? null : <TensorLine tensor={reply.tensor} path={reply.path} />}
      {reply.module === null ? null : (
        <ModuleLine
          module={reply.module}
          className={reply.class_name}
          path={reply.alias_of === null ? reply.path : null}
        />
      )}
      {reply.tensor === null && reply.module === null ? <b>{reply.class_name}</b> : null}
    </>
  );
}

const ROLE_NOTES = {
  buffer: word("Kept in state_dict(), not trained"),
  unregistered: word("Not registered: state_dict() and .to() will not see it"),
  parameter: "",
} as const;

function TensorLine({ tensor, path }: { readonly tensor: TensorFacts; readonly path: string }) {
  const fact = (text: string, title?: string): ComponentChildren => <span title={title}>{text}</span>;
  const isStrided = tensor.layout === "strided" || tensor.layout === "";
  return (
    <>
      <b title={t("{0} {0|value|values}", exactCount(tensor.n_elements))}>{shapeText(tensor.shape)}</b>
      {fact(tensor.dtype)}
      {fact(tensor.device)}
      {fact(bytesText(tensor.size_bytes), exactBytes(tensor.size_bytes))}
      {tensor.placements === undefined ? null : fact(placementText(tensor), hereText(tensor))}
      {tensor.role === "parameter" ? null : fact(t(tensor.role), t(ROLE_NOTES[tensor.role]))}
      {tensor.role === "buffer" && !tensor.persistent ? fact(t("not persistent"), t("Left out of state_dict()")) : null}
      {tensor.role === "parameter" ? <FreezeButton path={path} n={1} nFrozen={tensor.requires_grad ? 0 : 1} /> : null}
      {tensor.role !== "parameter" && tensor.requires_grad ? fact(t("requires grad")) : null}
      {isStrided ? null : fact(tensor.layout)}
      {isStrided && tensor.is_contiguous === false
        ? fact(t("not contiguous"), t("strides ({0})", tensor.strides?.join(", ") ?? t("unknown")))
        : null}
    </>
  );
}

/** "Shard(0) over dp 2 · Replicate() over tp 2". */
function placementText({ placements = [], mesh = [] }: TensorFacts): string {
  return placements.map((each, at) => t("{0} over {1}", each, `${mesh[at]?.name} ${mesh[at]?.size}`)).join(" · ");
}

function hereText({ local_shape, shape }: TensorFacts): string {
  return t("a part is {0} of {1}", shapeText(local_shape ?? null), shapeText(shape));
}

interface ModuleLineProps {
  readonly module: ModuleFacts;
  readonly className: string;
  /** Null where this is another name of a module. */
  readonly path: string | null;
}

function ModuleLine({ module, className, path }: ModuleLineProps) {
  return (
    <>
      <b>{className}</b>
      <span title={t("{0} {0|parameter|parameters}", exactCount(module.n_params))}>
        {t("{0} {0|parameter|parameters}", countText(module.n_params))}
      </span>
      {module.n_parameters === 0 ? null : (
        <FreezeButton path={path} n={module.n_parameters} nFrozen={module.n_frozen} />
      )}
      {module.training === null ? null : <span>{module.training ? t("training") : t("eval")}</span>}
    </>
  );
}
