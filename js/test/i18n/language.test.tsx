// @vitest-environment happy-dom
import { act, cleanup, render } from "@testing-library/preact";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { tellSentence } from "../../src/i18n/kernelSentences.ts";
import { chooseLanguage, currentLanguage, useLanguage } from "../../src/i18n/language.ts";
import { setCatalogue, t, told, type Words } from "../../src/i18n/translate.ts";
import zh from "../../src/i18n/zh.json";
import sentences from "../../src/i18n/zh-sentences.json";

function Label({ load }: { readonly load: () => Promise<Words> }) {
  useLanguage(load, true);
  return <p>{t("Statistics")}</p>;
}

/** Does something, and waits for what comes of it. */
function settled(what: () => void): Promise<void> {
  return act(async () => {
    what();
    await new Promise((resolve) => setTimeout(resolve));
  });
}

async function drawn(load: () => Promise<Words>) {
  const view = render(<Label load={load} />);
  await settled(() => undefined);
  return { text: () => view.container.textContent, unmount: view.unmount };
}

beforeEach(() => {
  document.documentElement.lang = "";
});
afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  chooseLanguage(null);
  setCatalogue({});
});

describe("the language", () => {
  test.each([
    ["", "en-US", "en"],
    ["", "zh-CN", "zh"],
    ["en", "zh-CN", "en"],
    ["zh-CN", "en-US", "zh"],
    ["zh_CN", "en-US", "zh"],
    ["ar", "en-US", "en"],
  ])("of a page in %j and a browser in %s is %s", (lang, browser, expected) => {
    document.documentElement.lang = lang;
    vi.spyOn(navigator, "language", "get").mockReturnValue(browser);
    expect(currentLanguage()).toBe(expected);
  });

  test("chosen stands above the page's, until the choice is taken back", () => {
    document.documentElement.lang = "zh-CN";
    chooseLanguage("en");
    expect(currentLanguage()).toBe("en");
    chooseLanguage(null);
    expect(currentLanguage()).toBe("zh");
  });

  test("that the kernel was told to speak stands above the page's, and below what was chosen", async () => {
    vi.resetModules();
    const { chooseLanguage, currentLanguage, followKernel } = await import("../../src/i18n/language.ts");
    followKernel("zh");
    expect(currentLanguage()).toBe("zh");
    chooseLanguage("en");
    expect(currentLanguage()).toBe("en");
    chooseLanguage(null);
    document.documentElement.lang = "zh-CN";
    followKernel("en");
    expect(currentLanguage()).toBe("en");
    followKernel("");
    expect(currentLanguage()).toBe("zh");
  });

  test("chosen lasts as long as the page where nothing may be stored", () => {
    vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
      throw new DOMException("denied", "SecurityError");
    });
    chooseLanguage("zh");
    expect(currentLanguage()).toBe("zh");
  });
});

describe("what is drawn", () => {
  test("needs no words in English", async () => {
    const load = vi.fn();
    expect((await drawn(load)).text()).toBe("Statistics");
    expect(load).not.toHaveBeenCalled();
  });

  test("is in Chinese once its words are here", async () => {
    document.documentElement.lang = "zh-CN";
    expect((await drawn(async (): Promise<Words> => [zh])).text()).toBe("统计");
  });

  test("has the kernel's sentences in Chinese from the same drawing on", async () => {
    document.documentElement.lang = "zh-CN";
    const english = "Its 2 parameters have requires_grad=False: no gradient comes to them.";
    await drawn(async () => [sentences, tellSentence]);
    expect(told(english)).toBe("其 2 个参数的 requires_grad=False：得不到梯度。");
    await settled(() => chooseLanguage("en"));
    expect(told(english)).toBe(english);
  });

  test("stays in English where they do not come", async () => {
    document.documentElement.lang = "zh-CN";
    expect((await drawn(() => Promise.reject(new Error("no kernel")))).text()).toBe("Statistics");
  });

  test("changes with every other view when one of them chooses", async () => {
    const [one, other] = [await drawn(async (): Promise<Words> => [zh]), await drawn(async (): Promise<Words> => [zh])];
    await settled(() => chooseLanguage("zh"));
    expect([one.text(), other.text()]).toEqual(["统计", "统计"]);
    await settled(() => chooseLanguage("en"));
    expect([one.text(), other.text()]).toEqual(["Statistics", "Statistics"]);
  });

  test("keeps to the last choice where words come late", async () => {
    let come = (_words: Words): void => {};
    const view = await drawn(
      () =>
        new Promise((resolve) => {
          come = resolve;
        }),
    );
    await settled(() => chooseLanguage("zh"));
    await settled(() => chooseLanguage("en"));
    await settled(() => come([zh]));
    expect(view.text()).toBe("Statistics");
  });
});
