/**
 * Numbers as people read them, in a terminal and on a page.
 *
 * @module
 */

const STEPS: readonly string[] = ['B', 'kB', 'MB', 'GB', 'TB'];

/** 1234 → `1.23 kB`. Powers of ten. */
export function formatBytes(bytes: number): string {
  let [value, step] = [bytes, 0];
  while (value >= 999.5 && step < STEPS.length - 1) [value, step] = [value / 1000, step + 1];
  return `${step === 0 ? value : value.toPrecision(3)} ${STEPS[step]}`;
}

/** 3725 → `1:02:05`, 65 → `1:05`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Whole numbers whole, others to 4 significant digits. */
export const formatNumber = (x: number): string => (Number.isInteger(x) ? String(x) : String(Number(x.toPrecision(4))));
