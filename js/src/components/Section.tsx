import type { ComponentChildren } from "preact";

interface SectionProps {
  readonly title: string;
  /** Dim words after the title. */
  readonly caption?: ComponentChildren;
  /** Controls at the right end of the title's line. */
  readonly tools?: ComponentChildren;
  /** What is shown is about something else, or out of date, while the new is on its way. */
  readonly isStale?: boolean;
  readonly children: ComponentChildren;
}

/** A part of the inspector under its heading. */
export function Section({ title, caption, tools, isStale = false, children }: SectionProps) {
  return (
    <section class="nnw-section" aria-label={title} aria-busy={isStale}>
      <div class="nnw-section-line">
        <h3>{title}</h3>
        {caption ? <span class={`nnw-caption${isStale ? " nnw-stale" : ""}`}>{caption}</span> : null}
        {tools ? <span class="nnw-tools">{tools}</span> : null}
      </div>
      <div class={isStale ? "nnw-section-body nnw-stale" : "nnw-section-body"}>{children}</div>
    </section>
  );
}
