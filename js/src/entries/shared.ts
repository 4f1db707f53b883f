import { Fragment, h } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { faultOf } from "../lib/fault.ts";
import { bytesText, countText, exactBytes, exactCount, floatText, shapeText, toNumber } from "../lib/format.ts";
import { isModified, keyOf } from "../lib/keys.ts";
import { useUniqueId } from "../lib/useUniqueId.ts";
import { useChanges } from "../views/edit/useChanges.ts";
import { CopyButton } from "../views/inspector/CopyButton.tsx";
import { FaultNote, Note } from "../views/inspector/Note.tsx";
import { TieBadge } from "../views/inspector/TieBadge.tsx";
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
  useRef,
  useState,
  faultOf,
  bytesText,
  countText,
  exactBytes,
  exactCount,
  floatText,
  shapeText,
  toNumber,
  isModified,
  keyOf,
  useUniqueId,
  useChanges,
  CopyButton,
  FaultNote,
  Note,
  TieBadge,
  Glyph,
  useViewport,
  t,
  tx,
  word,
};
