/**
 * Ticks of a logarithmic axis: decades where there are several, 1-2-5 where there are few, even steps inside one.
 *
 * @module
 */

const BETWEEN = [1, 2, 5] as const;
/** Decades from which on only they are named. */
const MANY = 3;
const LEAST = 3;
/** 0.7 / 0.1 is a little less than 7. */
const CLOSE = 1e-9;

/** @param low above 0. */
export function logTicks(low: number, high: number): number[] {
  if (!(low > 0) || !(high > low) || !Number.isFinite(high)) return [];
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const steps = Math.log10(high / low) >= MANY ? [1] : BETWEEN;
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => first + i)
    .flatMap((power) => steps.map((step) => Number(`${step}e${power}`)))
    .filter((tick) => tick >= low && tick <= high);
  return ticks.length >= LEAST ? ticks : evenTicks(low, high);
}

/** Four or so multiples of a round number. */
function evenTicks(low: number, high: number): number[] {
  const rough = (high - low) / 4;
  const power = Math.floor(Math.log10(rough));
  const step = BETWEEN.map((one) => Number(`${one}e${power}`)).findLast((one) => one <= rough)!;
  const first = Math.ceil(low / step - CLOSE);
  const count = Math.floor(high / step + CLOSE) - first + 1;
  // Multiples by division: adding steps up would show as 0.30000000000000004.
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
