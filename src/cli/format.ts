/**
 * Numbers as people read them.
 *
 * @module
 */

export { formatBytes, formatNumber, formatSeconds } from '../figures.ts';

import { formatNumber } from '../figures.ts';

const BARS = '▁▂▃▄▅▆▇█';

/** One character a value, the lowest `▁`, the highest `█`; the last `width` values. A gap where there is no number. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const finite = shown.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  return shown
    .map((x) => (Number.isFinite(x) ? BARS[high > low ? Math.round(((x - low) / (high - low)) * 7) : 0] : ' '))
    .join('');
}

/**
 * Values as columns of eighths, `height` lines from the highest value down to the lowest, which is a line thin; the
 * first and last lines say which values these are.
 */
export function chart(values: readonly number[], height: number): string[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const levels = values.map((x) => 1 + (high > low ? ((x - low) / (high - low)) * (8 * height - 1) : 0));
  return Array.from({ length: height }, (_, line) => {
    const under = 8 * (height - 1 - line);
    const cells = levels.map((level) => {
      const eighths = Math.round(Math.min(8, Math.max(0, level - under)));
      return (eighths === 0 ? ' ' : BARS[eighths - 1]!).repeat(3);
    });
    const said = line === 0 ? high : line === height - 1 ? low : undefined;
    return `${(said === undefined ? '' : formatNumber(said)).padStart(7)} ${cells.join(' ')}`;
  });
}

/** `━━━━────`: the part done of `width` characters. */
export function bar(part: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * width);
  return '━'.repeat(full) + '─'.repeat(width - full);
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof CODES;
export type Paint = (style: Style, text: string) => string;

/** Styles text for a terminal, or leaves it. */
export const painter =
  (colour: boolean): Paint =>
  (style, text) =>
    colour ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text;

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
const PIECES = /\x1b\[[0-9;]*m|[^\x1b]+/g;

/** Cut to `columns` characters, styles not counted. */
export function truncate(text: string, columns: number): string {
  const pieces = text.match(PIECES) ?? [];
  const length = pieces.reduce((n, piece) => n + (piece.startsWith('\x1b') ? 0 : piece.length), 0);
  if (length <= columns) return text;
  let room = Math.max(0, columns - 1);
  const kept = pieces.map((piece) => {
    if (piece.startsWith('\x1b')) return piece;
    const part = piece.slice(0, room);
    room -= part.length;
    return part;
  });
  return `${kept.join('')}…`;
}

/** Control characters of foreign text (a peer's name, a refusal) made visible: they must not steer the terminal. */
export const visible = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to replace
  text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** Columns side by side, numbers to the right. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const numeric = widths.map((_, i) =>
    rows.slice(1).every((row) => /^[-+]?[\d.,:]+( ?%| [kMGT]?B)?$/.test(row[i] ?? '')),
  );
  return rows.map((row) =>
    row
      .map((text, i) => (numeric[i] && rows.length > 1 ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}
