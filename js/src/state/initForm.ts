import { word } from "../i18n/translate.ts";
import type {
  Bodies,
  Chip,
  InitializerBody,
  InitializersReply,
  Only,
  ParameterBody,
  Scope,
} from "../protocol/messages.ts";

type Value = string | number | boolean | null;

/** What the re-initialize panel holds: text as typed, so that what is wrong can be said where it stands. */
export interface InitForm {
  readonly how: string;
  /** By parameter; one that isn't here is at its default. */
  readonly texts: Readonly<Record<string, string>>;
  readonly seed: string;
  readonly clears: boolean;
}

export type FormAction =
  | { readonly type: "chosen"; readonly how: string; readonly texts?: InitForm["texts"] }
  | { readonly type: "typed"; readonly name: string; readonly text: string }
  | { readonly type: "seeded"; readonly seed: string }
  | { readonly type: "clearing"; readonly clears: boolean };

export function reduceForm(form: InitForm, action: FormAction): InitForm {
  switch (action.type) {
    case "chosen":
      return { ...form, how: action.how, texts: action.texts ?? {} };
    case "typed":
      return { ...form, texts: { ...form.texts, [action.name]: action.text } };
    case "seeded":
      return { ...form, seed: action.seed };
    case "clearing":
      return { ...form, clears: action.clears };
  }
}

/** What a panel that has just been opened holds. */
export function startingForm(): InitForm {
  return { how: "", texts: {}, seed: drawSeed(), clears: false };
}

export function drawSeed(): string {
  return String(Math.floor(Math.random() * 100_000));
}

/** The initializer suggested, told what follows the layer where it asks for that. */
export function suggestion({ initializers, suggested, fan }: InitializersReply): FormAction {
  const asks = initializers
    .find(({ name }) => name === suggested)
    ?.parameters.some(({ name, choices }) => name === "nonlinearity" && choices.includes(fan?.activation ?? ""));
  return { type: "chosen", how: suggested, texts: asks ? { nonlinearity: fan?.activation ?? "" } : {} };
}

export function textOf({ texts }: Pick<InitForm, "texts">, { name, default: value }: ParameterBody): string {
  return texts[name] ?? (value === null ? "" : value === true ? "True" : value === false ? "False" : String(value));
}

const WORDS: Readonly<Record<string, string>> = {
  nan: "NaN",
  inf: "Infinity",
  "+inf": "Infinity",
  "-inf": "-Infinity",
};
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const MOST_SEED = 2n ** 64n - 1n;

/** A text as the wire has its parameter's value, or why it is none. */
function readText(text: string, { type, required }: ParameterBody): { value?: Value; problem?: string } {
  const plain = text.trim().replace("−", "-");
  if (plain === "" && type !== "str") {
    return required ? { problem: word("needed") } : {};
  }
  if (type === "int") {
    return /^[+-]?\d+$/.test(plain) ? { value: exact(plain) } : { problem: word("expects a whole number") };
  }
  if (type === "float") {
    const special = WORDS[plain.toLowerCase()];
    return special !== undefined
      ? { value: special }
      : NUMBER.test(plain)
        ? { value: Number(plain) }
        : { problem: word("expects a number") };
  }
  return { value: type === "bool" ? plain === "True" : type === "str" ? text : plain };
}

function exact(digits: string): Value {
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : digits;
}

export interface FormCheck {
  readonly kwargs: Readonly<Record<string, Value>>;
  /** By parameter (or "seed"), what is expected instead. */
  readonly problems: Readonly<Record<string, string>>;
}

/** The parameters that are not at their defaults, and what is wrong with any. */
export function checkForm(form: InitForm, initializer: InitializerBody): FormCheck {
  const kwargs: Record<string, Value> = {};
  const problems: Record<string, string> = {};
  for (const parameter of initializer.parameters) {
    const text = textOf(form, parameter);
    const { value, problem } = readText(text, parameter);
    if (problem !== undefined) {
      problems[parameter.name] = problem;
    } else if (value !== undefined && text !== textOf({ ...form, texts: {} }, parameter)) {
      kwargs[parameter.name] = value;
    }
  }
  if (initializer.draws && !(/^\d{1,20}$/.test(form.seed.trim()) && BigInt(form.seed.trim()) <= MOST_SEED)) {
    problems.seed = word("expects 0 to 2^64 − 1");
  }
  return { kwargs, problems };
}

/** What a change is aimed at. */
export interface ChangeTarget {
  readonly path: string;
  readonly scope: Scope;
  readonly only: Only;
  readonly filter: string;
  readonly chips: readonly Chip[];
}

/** A target as the wire has it: what is at its default is left out. */
export function targetOf({ path, scope, only, filter, chips }: ChangeTarget): Bodies["freeze"] {
  return {
    path,
    ...(scope === "here" ? {} : { scope }),
    ...(only === "all" ? {} : { only }),
    ...(scope === "filter" ? { filter, chips } : {}),
  };
}

/** The request that previews or makes the change; null where it would be refused. */
export function bodyOf(
  aim: ChangeTarget,
  form: InitForm,
  initializer: InitializerBody | undefined,
): Bodies["init"] | null {
  if (initializer === undefined || initializer.refused !== null) {
    return null;
  }
  const { kwargs, problems } = checkForm(form, initializer);
  if (Object.keys(problems).length > 0) {
    return null;
  }
  return {
    ...targetOf(aim),
    how: form.how,
    ...(Object.keys(kwargs).length > 0 ? { kwargs } : {}),
    ...(initializer.draws ? { seed: exact(form.seed.trim()) as number } : {}),
    ...(form.clears ? { clear_state: true } : {}),
  };
}
