import type { FanBody } from "../protocol/messages.ts";
import { floatText, toNumber } from "./format.ts";

/** `calculate_gain` of torch. */
export function gainOf(nonlinearity: string, slope: number): number {
  const gains: Readonly<Record<string, number>> = {
    tanh: 5 / 3,
    relu: Math.SQRT2,
    leaky_relu: Math.sqrt(2 / (1 + slope * slope)),
    selu: 3 / 4,
  };
  return gains[nonlinearity] ?? 1;
}

/**
 * What standard deviation an initializer's rule gives a weight: Glorot & Bengio 2010 for xavier, He et al. 2015 for
 * kaiming. For the others, what those two would give, to choose by.
 */
export function stdHint(how: string, value: (name: string) => string, fan: FanBody): string {
  const [fanIn, fanOut] = [toNumber(fan.fan_in), toNumber(fan.fan_out)];
  if (how.startsWith("xavier")) {
    const gain = Number(value("gain"));
    return `std ${short(gain)} · √(2 ⁄ ${fanIn + fanOut}) = ${short(gain * Math.sqrt(2 / (fanIn + fanOut)))}`;
  }
  if (how.startsWith("kaiming")) {
    const gain = gainOf(value("nonlinearity"), Number(value("a")));
    const size = value("mode") === "fan_out" ? fanOut : fanIn;
    const written = Math.abs(gain - Math.SQRT2) < 1e-9 ? "√2" : short(gain);
    return `std ${written} ⁄ √${size} = ${short(gain / Math.sqrt(size))}`;
  }
  const { xavier = 0, kaiming_fan_in: kaiming = 0 } = fan.stds;
  return `xavier ${short(toNumber(xavier))} · kaiming ${short(toNumber(kaiming))}`;
}

function short(value: number): string {
  return floatText(value, 3);
}
