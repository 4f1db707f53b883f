/** What VS Code's default themes say, of what outputs read. */
const THEMES = {
  light: {
    "editor-background": "#ffffff",
    "editor-foreground": "#3b3b3b",
    foreground: "#3b3b3b",
    focusBorder: "#005fb8",
    "textLink-foreground": "#005fb8",
    "textPreformat-background": "#0000001f",
    "textPreformat-foreground": "#3b3b3b",
    "keybindingLabel-background": "#dddddd66",
    "keybindingLabel-border": "#cccccc66",
    "keybindingLabel-foreground": "#3b3b3b",
    "widget-shadow": "#00000029",
    "notebook-outputContainerBackgroundColor": "transparent",
  },
  dark: {
    "editor-background": "#1f1f1f",
    "editor-foreground": "#cccccc",
    foreground: "#cccccc",
    focusBorder: "#0078d4",
    "textLink-foreground": "#4daafc",
    "textPreformat-background": "#3c3c3c",
    "textPreformat-foreground": "#d0d0d0",
    "keybindingLabel-background": "#8080802b",
    "keybindingLabel-border": "#33333399",
    "keybindingLabel-foreground": "#cccccc",
    "widget-shadow": "#0000005c",
    "notebook-outputContainerBackgroundColor": "transparent",
  },
  "high-contrast": {
    "editor-background": "#000000",
    "editor-foreground": "#ffffff",
    foreground: "#ffffff",
    contrastBorder: "#6fc3df",
    focusBorder: "#f38518",
    "textLink-foreground": "#21a6ff",
    "textPreformat-background": "#ffffff",
    "textPreformat-foreground": "#000000",
    "keybindingLabel-background": "transparent",
    "keybindingLabel-border": "#6fc3df",
    "keybindingLabel-foreground": "#ffffff",
    "widget-shadow": "transparent",
    "notebook-outputContainerBackgroundColor": "transparent",
  },
  "high-contrast-light": {
    "editor-background": "#ffffff",
    "editor-foreground": "#292929",
    foreground: "#292929",
    contrastBorder: "#0f4a85",
    focusBorder: "#006bbd",
    "textLink-foreground": "#0f4a85",
    "textPreformat-background": "#09345f",
    "textPreformat-foreground": "#ffffff",
    "keybindingLabel-background": "#dddddd66",
    "keybindingLabel-border": "#0f4a85",
    "keybindingLabel-foreground": "#292929",
    "widget-shadow": "transparent",
    "notebook-outputContainerBackgroundColor": "transparent",
  },
} as const;

const FONTS = {
  "font-family": "system-ui, 'Ubuntu', 'Droid Sans', sans-serif",
  "font-size": "13px",
  "editor-font-family": "'Droid Sans Mono', 'monospace', monospace",
};

export type Theme = keyof typeof THEMES;

/** Dresses the page as VS Code does: a class of the body, and variables of the root. */
export function dress(theme: Theme): void {
  document.body.classList.remove(...Object.keys(THEMES).map((name) => `vscode-${name}`));
  document.body.classList.add(`vscode-${theme}`);
  document.body.dataset.vscodeThemeKind = `vscode-${theme}`;
  for (const [name, value] of Object.entries({ ...FONTS, ...THEMES[theme] })) {
    document.documentElement.style.setProperty(`--vscode-${name}`, value);
  }
}

/** Takes away what no webview has. */
export function forbid(): void {
  for (const name of ["alert", "confirm", "prompt", "open"] as const) {
    window[name] = () => {
      throw new Error(`A webview has no window.${name}.`);
    };
  }
}
