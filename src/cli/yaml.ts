/**
 * YAML files of `key: value` lines, with the line of every key, so that a refusal can name it.
 *
 * @module
 */
import { LineCounter, parseDocument } from 'yaml';
import { Fault } from '../faults.ts';

/** A file as read: its values, and the line each key stands on. */
export interface Written {
  readonly values: Readonly<Record<string, unknown>>;
  readonly lines: ReadonlyMap<string, number>;
}

/**
 * @param what the file is, and who describes it, for messages.
 * @throws {Fault} CONFIG_INVALID
 */
export function readYaml(name: string, text: string, what: string): Written {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const { line } = lineCounter.linePos(error.pos[0]);
    throw new Fault(
      'CONFIG_INVALID',
      `${name}:${line}: not YAML (${error.message.split('\n')[0]}); write "key: value" lines`,
    );
  }
  const values: unknown = document.toJS() ?? {};
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new Fault('CONFIG_INVALID', `${name}:1: not ${what}`);
  }
  const lines = new Map<string, number>();
  const pairs = (document.contents as { items?: { key: { value?: unknown; range?: [number] } }[] } | null)?.items ?? [];
  for (const { key } of pairs) lines.set(String(key.value), lineCounter.linePos(key.range?.[0] ?? 0).line);
  // A key with nothing after it counts as not written.
  return { values: Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null)), lines };
}
