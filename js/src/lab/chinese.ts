import { tellSentence } from "../i18n/kernelSentences.ts";
import type { Words } from "../i18n/translate.ts";
import zh from "../i18n/zh.json";
import sentences from "../i18n/zh-sentences.json";

/** The words of Chinese, which the extension has with it. */
export async function chinese(): Promise<Words> {
  return [{ ...zh, ...sentences }, tellSentence];
}
