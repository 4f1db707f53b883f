import { t, told } from "../i18n/translate.ts";

/** What went wrong, ready to be shown: the wire's error, or one of the page's own put in the same words. */
export interface PageError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly path: string | null;
}

function isPageError(error: unknown): error is PageError {
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    typeof error.code === "string" &&
    "message" in error &&
    typeof error.message === "string" &&
    "hint" in error &&
    typeof error.hint === "string"
  );
}

export function toPageError(error: unknown): PageError {
  if (isPageError(error)) {
    const path = "path" in error && typeof error.path === "string" ? error.path : null;
    return { code: error.code, message: told(t(error.message)), hint: told(t(error.hint)), path };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: "internal", message, hint: "", path: null };
}

/** For a report: everything that is known, as plain lines. */
export function errorDetails(error: PageError, path: string): string {
  return [`${error.code}: ${error.message}`, error.hint, `path: ${error.path ?? path}`, navigator.userAgent]
    .filter((line) => line !== "")
    .join("\n");
}
