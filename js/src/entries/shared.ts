import { Fragment, h } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { faultOf } from "../lib/fault.ts";
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
import { isModified, keyOf, take } from "../lib/keys.ts";
import { useUniqueId } from "../lib/useUniqueId.ts";
import { Stale } from "../views/edit/Stale.tsx";
import { Unready } from "../views/edit/Unready.tsx";
import { useChanges } from "../views/edit/useChanges.ts";
import { useSettled } from "../views/edit/useSettled.ts";
import { Code } from "../views/inspector/Code.tsx";
import { CopyButton } from "../views/inspector/CopyButton.tsx";
import { tickPlace } from "../views/inspector/Histogram.tsx";
import { FaultNote, Note } from "../views/inspector/Note.tsx";
import { PathLink } from "../views/inspector/PathText.tsx";
import { Section } from "../views/inspector/Section.tsx";
import { TieBadge } from "../views/inspector/TieBadge.tsx";
import { useQuery } from "../views/inspector/useQuery.ts";
import { Glyph } from "../views/tree/Glyph.tsx";
import { useViewport } from "../views/tree/useViewport.ts";
import { t, tx, word } from "../words/words.ts";

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
