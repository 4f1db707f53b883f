import type { CandidateBody, InitializersReply } from "../protocol/messages.ts";
import { checkForm, type FormAction, type InitForm, textOf } from "./initForm.ts";

/** Beside what is chosen and the values as they are, what courses name. */
const USUAL = ["xavier_normal_", "kaiming_normal_", "orthogonal_", "reset"] as const;
const MOST = 5;

/** What is worth comparing on data for a target: its values as they are, what is chosen, and the usual ones that can fill it. */
export function candidatesFor(offer: InitializersReply, form: InitForm): CandidateBody[] {
  const made: CandidateBody[] = [{ how: "" }];
  const add = (from: InitForm): void => {
    const initializer = offer.initializers.find(({ name }) => name === from.how);
    if (initializer === undefined || initializer.refused !== null) {
      return;
    }
    const { kwargs, problems } = checkForm({ ...from, seed: "0" }, initializer);
    const body = { how: from.how, ...(Object.keys(kwargs).length > 0 ? { kwargs } : {}) };
    const isThere = made.some((each) => JSON.stringify(each) === JSON.stringify(body));
    if (Object.keys(problems).length === 0 && !isThere && made.length < MOST) {
      made.push(body);
    }
  };
  add(form);
  for (const how of USUAL) {
    add({ ...form, how, texts: textsFor(offer, how) });
  }
  return made;
}

/** The parameters that are told what follows the layer. */
function textsFor({ initializers, fan }: InitializersReply, how: string): InitForm["texts"] {
  const parameters = initializers.find(({ name }) => name === how)?.parameters ?? [];
  const texts: Record<string, string> = {};
  for (const { name, choices } of parameters) {
    if (name === "nonlinearity" && fan?.activation != null && choices.includes(fan.activation)) {
      texts[name] = fan.activation;
    } else if (name === "gain" && fan?.gain != null) {
      texts[name] = String(Number(Number(fan.gain).toPrecision(6)));
    }
  }
  return texts;
}

/** What has a form hold a candidate. */
export function choiceOf(offer: InitializersReply, { how, kwargs = {} }: CandidateBody): FormAction {
  const texts: Record<string, string> = {};
  for (const parameter of offer.initializers.find(({ name }) => name === how)?.parameters ?? []) {
    const value = kwargs[parameter.name];
    if (value !== undefined) {
      texts[parameter.name] = textOf({ texts: {} }, { ...parameter, default: value });
    }
  }
  return { type: "chosen", how, texts };
}
