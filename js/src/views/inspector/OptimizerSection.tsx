import { Section } from "../../components/Section.tsx";
import { t } from "../../i18n/translate.ts";
import { exactBytes, exactCount } from "../../lib/format.ts";
import type { OptimizerPlace } from "../../protocol/messages.ts";

/** What optimizers have of a parameter: its group's settings, its steps, norms of what is remembered. */
export function OptimizerSection({ places }: { readonly places: readonly OptimizerPlace[] }) {
  if (places.length === 0) {
    return (
      <Section title={t("Optimizer")}>
        <p class="nnw-warn nnw-quiet">
          {t("In no group of the optimizers that train this model: no step of theirs moves it.")}
        </p>
      </Section>
    );
  }
  return (
    <>
      {places.map((place) => (
        <Section
          key={`${place.name} ${place.group}`}
          title={places.length > 1 ? t("Optimizer {0}", place.name) : t("Optimizer")}
          caption={captionOf(place)}
        >
          <dl class="nnw-figures">
            {place.step === null ? null : <Entry name={t("step")} value={exactCount(place.step)} />}
            {place.state.map(({ name, value, is_norm, shape, dtype, size_bytes }) => (
              <Entry
                key={`state ${name}`}
                name={is_norm ? t("norm of {0}", name) : name}
                value={value}
                title={[shape, dtype, exactBytes(size_bytes)].filter((each) => each !== "").join(" · ")}
              />
            ))}
            {place.settings.map(({ name, value }) => (
              <Entry key={name} name={name} value={value} />
            ))}
          </dl>
        </Section>
      ))}
    </>
  );
}

function captionOf({ name, class_name, group, n_groups }: OptimizerPlace): string {
  const called = name === class_name ? class_name : `${name} · ${class_name}`;
  return n_groups === 1 ? called : t("{0} · group {1} of {2}", called, group, n_groups);
}

interface EntryProps {
  readonly name: string;
  readonly value: string;
  readonly title?: string;
}

function Entry({ name, value, title }: EntryProps) {
  return (
    <div>
      <dt title={name}>{name}</dt>
      <dd title={title === undefined || title === "" ? value : `${value} · ${title}`}>{value}</dd>
    </div>
  );
}
