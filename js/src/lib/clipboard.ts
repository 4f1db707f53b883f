/**
 * Puts text on the clipboard; false where the host forbids it. Pages served over plain HTTP have no
 * `navigator.clipboard`, so a selection and the older command stand in for it.
 */
export async function copyText(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text, near);
  }
}

function copyBySelection(text: string, near: HTMLElement): boolean {
  const area = near.ownerDocument.createElement("textarea");
  area.value = text;
  area.className = "nnw-hidden";
  area.setAttribute("aria-hidden", "true");
  near.after(area);
  try {
    area.select();
    return near.ownerDocument.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    near.focus();
  }
}
