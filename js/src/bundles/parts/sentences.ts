import { tellSentence } from "../../i18n/kernelSentences.ts";

export default tellSentence;
