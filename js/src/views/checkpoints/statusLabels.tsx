import type { ComponentChildren } from "preact";
import { Icon } from "../../components/Icon.tsx";
import { t } from "../../i18n/translate.ts";
import type { Difference, Status } from "../../protocol/messages.ts";
import { StatusMark } from "./StatusMark.tsx";

/** How a status or a difference is shown: an icon, a word, a colour's token. */
export interface StatusLabel {
  readonly word: string;
  readonly icon: ComponentChildren;
  readonly color: string;
  readonly hint: string;
}

export const STATUSES: readonly Status[] = [
  "match",
  "renamed",
  "dtype_cast",
  "converted",
  "tied",
  "own_code",
  "sharded",
  "shape_mismatch",
  "missing",
  "unexpected",
];

export const DIFFERENCES: readonly Difference[] = ["values", "shape", "dtype", "removed", "added", "equal"];

export function statusLabel(status: Status): StatusLabel {
  switch (status) {
    case "match":
      return label(t("match"), <Icon name="check" />, "ok", t("Same name, shape and dtype: will be loaded"));
    case "renamed":
      return label(
        t("renamed"),
        <StatusMark name="swap" />,
        "info",
        t("Under another name in the file: will be loaded"),
      );
    case "dtype_cast":
      return label(
        t("dtype cast"),
        <StatusMark name="waves" />,
        "t3",
        t("Another dtype in the file: will be loaded and cast"),
      );
    case "tied":
      return label(t("tied"), <Icon name="link" />, "t0", t("Its bytes come with another name"));
    case "own_code":
      return label(
        t("own code"),
        <StatusMark name="swap" />,
        "info",
        t("Given to code of the module's own, which decides what becomes of it"),
      );
    case "converted":
      return label(
        t("converted"),
        <StatusMark name="swap" />,
        "t3",
        t("The same values in another order in the file: will be loaded as the model has them"),
      );
    case "sharded":
      return label(t("sharded"), <StatusMark name="waves" />, "info", t("Spread over ranks: each gets its part"));
    case "shape_mismatch":
      return label(
        t("shape mismatch"),
        <StatusMark name="unequal" />,
        "err",
        t("Another shape in the file: keeps its values"),
      );
    case "missing":
      return label(t("missing"), <StatusMark name="hollow" />, "warn", t("Not in the file: keeps its values"));
    case "unexpected":
      return label(t("unexpected"), <Icon name="plus" />, "dim", t("Only in the file: left alone"));
  }
}

export function differenceLabel(kind: Difference, a: string, b: string): StatusLabel {
  switch (kind) {
    case "values":
      return label(t("values"), <StatusMark name="delta" />, "warn", t("Same shape and dtype, other values"));
    case "shape":
      return label(t("shape"), <StatusMark name="unequal" />, "err", t("Another shape on either side"));
    case "dtype":
      return label(t("dtype"), <StatusMark name="waves" />, "t3", t("Another dtype on either side"));
    case "removed":
      return label(t("only first"), <Icon name="minus" />, "info", t("Only in {0}", a));
    case "added":
      return label(t("only second"), <Icon name="plus" />, "info", t("Only in {0}", b));
    case "equal":
      return label(t("equal"), <StatusMark name="equal" />, "ok", t("Bit for bit the same"));
  }
}

function label(word: string, icon: ComponentChildren, token: string, hint: string): StatusLabel {
  return { word, icon, color: `var(--nnw-${token})`, hint };
}

const DAY_SECONDS = 86_400;

/** "today 13:41", "yesterday 18:20", "20 Nov", "20 Nov 2024". */
export function dateText(seconds: number, now = new Date()): string {
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString(t("en-GB"), { hour: "2-digit", minute: "2-digit" });
  const day = (at: Date): number => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime() / 1000;
  const days = Math.round((day(now) - day(date)) / DAY_SECONDS);
  if (days === 0) {
    return t("today {0}", time);
  }
  if (days === 1) {
    return t("yesterday {0}", time);
  }
  const isThisYear = date.getFullYear() === now.getFullYear();
  const year = isThisYear ? {} : ({ year: "numeric" } as const);
  return date.toLocaleDateString(t("en-GB"), { day: "numeric", month: "short", ...year });
}

/** "float32" → "f32", "bfloat16" → "bf16", "int64" → "i64". */
export function shortDtype(dtype: string): string {
  return dtype
    .replace(/^bfloat/, "bf")
    .replace(/^float/, "f")
    .replace(/^uint/, "u")
    .replace(/^int/, "i")
    .replace(/^complex/, "c");
}
