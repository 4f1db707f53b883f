// What a part of the page that comes later takes from the first instead of bringing it along; the build reads this list.
export { Fragment, h } from "preact";
export { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
export { Banner } from "../components/Banner.tsx";
export { Code } from "../components/Code.tsx";
export { CopyAs } from "../components/CopyAs.tsx";
export { CopyButton } from "../components/CopyButton.tsx";
export { Histogram, Ticks } from "../components/Histogram.tsx";
export { Icon } from "../components/Icon.tsx";
export { ErrorNote, Note } from "../components/Note.tsx";
export { PathLink } from "../components/PathText.tsx";
export { Pending } from "../components/Pending.tsx";
export { Search } from "../components/Search.tsx";
export { Section } from "../components/Section.tsx";
export { TieBadge } from "../components/TieBadge.tsx";
export { useChanges } from "../hooks/useChanges.ts";
export { useDebounced } from "../hooks/useDebounced.ts";
export { useQuery } from "../hooks/useQuery.ts";
export { useRemembered } from "../hooks/useRemembered.ts";
export { useUniqueId } from "../hooks/useUniqueId.ts";
export { drawnRows, scrollToRow, topOf, useVirtualRows } from "../hooks/useVirtualRows.ts";
export { currentCatalogue, t, told, tx, word } from "../i18n/translate.ts";
export { toPageError } from "../lib/errors.ts";
export {
  bytesText,
  countText,
  exactBytes,
  exactCount,
  exactFloat,
  floatText,
  flopsText,
  meanText,
  percentText,
  secondsText,
  shapeText,
  toNumber,
} from "../lib/format.ts";
export { overlayPaths, zeroAt } from "../lib/histogram.ts";
export { consumeEvent, isModified, keyOf } from "../lib/keyEvents.ts";
export { StaleOptimizer } from "../views/edit/StaleOptimizer.tsx";
export { Findings } from "../views/inspector/Findings.tsx";
export { InputFields } from "../views/inspector/InputFields.tsx";
