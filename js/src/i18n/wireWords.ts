import { word } from "./translate.ts";

/** What the kernel says in fixed words that the page writes through `t`. Its free text stays in English. */
export const WIRE_WORDS = [
  // Severities and roles.
  word("error"),
  word("warning"),
  word("note"),
  word("parameter"),
  word("buffer"),
  word("unregistered"),
  // Codes of findings.
  word("non-string-key"),
  word("unregistered-tensor"),
  word("unreadable-module"),
  word("unregistered-module"),
  word("constant-weight"),
  word("data-in-forward"),
  word("nan-or-inf"),
  word("dead-units"),
  word("broken-tie"),
  word("uninitialized"),
  word("frozen"),
  word("stale-optimizer"),
  word("two-optimizers"),
  word("frozen-but-moved"),
  word("non-persistent-buffer"),
  // How one tied tensor lies to another.
  word("object"),
  word("storage"),
  word("view"),
  word("overlap"),
  word("target"),
  word("this one"),
  word("same object"),
  word("same bytes"),
  word("transposed view"),
  word("view of the same bytes"),
  word("overlaps"),
  // What code is for, and what a change is aimed at.
  word("Python"),
  word("By path"),
  word("Gradient"),
  word("this tensor"),
  word("this module"),
  word("the whole model"),
  word("all rows of the filter"),
];
