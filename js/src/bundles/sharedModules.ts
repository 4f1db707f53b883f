import { Fragment, h } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { Code } from "../components/Code.tsx";
import { CopyButton } from "../components/CopyButton.tsx";
import { tickPlace } from "../components/Histogram.tsx";
import { Glyph } from "../components/Icon.tsx";
import { FaultNote, Note } from "../components/Note.tsx";
import { PathLink } from "../components/PathText.tsx";
import { Unready } from "../components/Pending.tsx";
import { Section } from "../components/Section.tsx";
import { Stale } from "../components/StaleOptimizer.tsx";
import { TieBadge } from "../components/TieBadge.tsx";
import { useChanges } from "../hooks/useChanges.ts";
import { useSettled } from "../hooks/useDebounced.ts";
import { useQuery } from "../hooks/useQuery.ts";
import { useUniqueId } from "../hooks/useUniqueId.ts";
import { useViewport } from "../hooks/useViewport.ts";
import { t, tx, word } from "../i18n/translate.ts";
import { faultOf } from "../lib/errors.ts";
import {
  bytesText,
  countText,
  exactBytes,
  exactCount,
  exactFloat,
  floatText,
  meanText,
  shapeText,
  toNumber,
} from "../lib/format.ts";
import { ticks, zeroAt } from "../lib/histogram.ts";
import { isModified, keyOf, take } from "../lib/keyEvents.ts";

/** What a part of the page that comes later takes from the first; the build reads the imports above. */
export const SHARED = {
  Fragment,
  h,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
  faultOf,
  bytesText,
  countText,
  exactBytes,
  exactCount,
  exactFloat,
  floatText,
  meanText,
  shapeText,
  toNumber,
  ticks,
  zeroAt,
  isModified,
  keyOf,
  take,
  useUniqueId,
  Stale,
  Unready,
  useChanges,
  useSettled,
  Code,
  CopyButton,
  tickPlace,
  FaultNote,
  Note,
  PathLink,
  Section,
  TieBadge,
  useQuery,
  Glyph,
  useViewport,
  t,
  tx,
  word,
};
