import type { Theme } from "./colormap.ts";

const DARK_BELOW = 110;

/** Whether a painted background is light or dark, by its luminance. */
export function themeOf(background: string): Theme {
  const [red = 255, green = 255, blue = 255] = channels(background);
  return 0.3 * red + 0.59 * green + 0.11 * blue < DARK_BELOW ? "dark" : "light";
}

function channels(color: string): number[] {
  const numbers = (color.match(/[\d.]+/g) ?? []).map(Number);
  // Browsers write mixed colours as color(srgb 0.1 0.2 0.3): fractions of one.
  return color.startsWith("color(") ? numbers.slice(0, 3).map((part) => part * 255) : numbers.slice(0, 3);
}

/** Tells the theme of an element's background now, and whenever the host's theme changes; returns how to stop. */
export function watchTheme(element: HTMLElement, onTheme: (theme: Theme) => void): () => void {
  const page = element.ownerDocument;
  const view = page.defaultView ?? window;
  const read = (): void => {
    if (element.isConnected) {
      onTheme(themeOf(view.getComputedStyle(element).backgroundColor));
    }
  };
  const changes = new MutationObserver(read);
  const names = ["class", "style", "theme", "data-jp-theme-light", "data-jp-theme-name"];
  const seen = { attributes: true, attributeFilter: names };
  for (const target of [page.documentElement, page.body]) {
    changes.observe(target, seen);
  }
  // Themes arrive as style sheets, after the attributes that announce them.
  changes.observe(page.head, { childList: true });
  page.head.addEventListener("load", read, true);
  const scheme = view.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", read);
  const size = new ResizeObserver(read);
  size.observe(element);
  read();
  return () => {
    changes.disconnect();
    page.head.removeEventListener("load", read, true);
    scheme.removeEventListener("change", read);
    size.disconnect();
  };
}
